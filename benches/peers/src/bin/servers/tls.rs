//! 64 KiB echoes over TLS with rustls.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use clap::Args;
use futures_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::client::connect;
use crate::contest::{self, Connections, Contestant, Drive, Turn, Turns};
use crate::identity::{Identity, server_name};
use crate::serve::{Runtime, Service};

/// The bound on the throughput, in times tokio's.
const BOUND: f64 = 1.0;

/// The length of a message.
pub(crate) const MESSAGE: usize = 64 << 10;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many connections, each with a thread of the client.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// How many echoes make a turn.
    #[arg(long, default_value_t = 1000)]
    echoes: u64,
    #[command(flatten)]
    turns: Turns,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    let title = "64 KiB echo over TLS, each message read before it is written";
    measure_service(options, Service::TlsMessages, title)?;
    let title = "64 KiB echo over TLS, each read written at once";
    measure_service(options, Service::Tls, title)
}

fn measure_service(options: &Options, service: Service, title: &str) -> io::Result<()> {
    let identity = Identity::new()?;
    let client = identity.client()?;
    let mut contestants = [
        Contestant::new(service, Runtime::Coreloop),
        Contestant::new(service, Runtime::CoreloopTokioIo),
        Contestant::new(service, Runtime::Tokio),
    ];
    for contestant in &mut contestants {
        contestant.server.identity = Some(identity.folder().to_owned());
    }
    let turn = Turn {
        requests: options.echoes,
        connections: Connections::Kept(options.connections as u64),
    };
    let scores = contest::run(title, &options.turns, turn, &contestants, |port| {
        drive(port, options.connections, &client)
    })?;
    if let Some([by_futures_io, by_tokio_io, tokio]) = scores.as_deref() {
        contest::judge_throughput(title, by_tokio_io, tokio, BOUND);
        // The size of a read differs by crate, as `README.md` explains.
        if service == Service::TlsMessages {
            contest::judge_throughput(title, by_futures_io, tokio, BOUND);
        }
    }
    Ok(())
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn drive(port: u16, connections: usize, config: &Arc<ClientConfig>) -> io::Result<Drive> {
    let mut connections = (0..connections)
        .map(|_| {
            let session = ClientConnection::new(Arc::clone(config), server_name()?)
                .map_err(io::Error::other)?;
            Ok(StreamOwned::new(session, connect(port)?))
        })
        .collect::<io::Result<Vec<Connection>>>()?;
    Ok(Box::new(move |echoes| {
        let each = echoes / connections.len() as u64;
        thread::scope(|scope| {
            let threads: Vec<_> = connections
                .iter_mut()
                .map(|connection| scope.spawn(move || echo(connection, each)))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                let ended = thread.join();
                ended.map_err(|_| io::Error::other("a client panicked"))?
            })
        })?;
        Ok(each * connections.len() as u64)
    }))
}

fn echo(connection: &mut Connection, echoes: u64) -> io::Result<()> {
    let mut buffer = vec![b'x'; MESSAGE];
    for _ in 0..echoes {
        connection.write_all(&buffer)?;
        connection.flush()?;
        connection.read_exact(&mut buffer)?;
    }
    Ok(())
}
