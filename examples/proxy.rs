//! A proxy: it opens a connection for each one that it accepts, and copies bytes
//! between the two in both directions.
//!
//! With the `echo_server` example running, run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example proxy -- --to 127.0.0.1:7777
//! ```
//!
//! and talk to that server with `nc 127.0.0.1 7778`. When one side shuts down its
//! writing half, the proxy passes that on, and the other side may still answer.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use clap::Parser;
use coreloop::io::{CopyBuffer, copy_bidirectional_with_buffers};
use coreloop::net::{TcpListener, TcpStream};

/// Opens a connection for each one that it accepts, and copies bytes between the two.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7778")]
    listen: String,
    /// Where to connect
    #[arg(long)]
    to: String,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.listen, &options.to))
}

async fn serve(listen: &str, to: &str) -> io::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{listen}: {error}")))?;
    println!("listening on {}, for {to}", listener.local_addr()?);
    let to: Rc<str> = to.into();
    loop {
        let (client, peer) = listener.accept().await?;
        coreloop::spawn(join(client, peer, Rc::clone(&to)));
    }
}

async fn join(mut client: TcpStream, peer: SocketAddr, to: Rc<str>) {
    let mut server = match TcpStream::connect(&*to).await {
        Ok(server) => server,
        Err(error) => return eprintln!("{peer}: no connection to {to}: {error}"),
    };
    // Without delay, because both sides may wait for each byte. The buffers count the
    // bytes, so that the counts are known even after an error.
    let nodelay = client.set_nodelay(true).and(server.set_nodelay(true));
    let (mut up, mut down) = (CopyBuffer::new(), CopyBuffer::new());
    let copied =
        copy_bidirectional_with_buffers(&mut client, &mut server, &mut up, &mut down).await;
    let (sent, received) = (up.bytes_written(), down.bytes_written());
    match nodelay.and(copied) {
        Ok(()) => println!("{peer}: {sent} bytes sent, {received} received"),
        Err(error) => eprintln!("{peer}: {error}, after {sent} bytes sent, {received} received"),
    }
}
