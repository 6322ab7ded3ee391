//! Bulk: 16 KiB echoes, and a gibibyte through a proxy.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::thread;

use clap::{Args, ValueEnum};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::client::{self, Exchange, connect};
use crate::contest::{self, Connections, Contestant, Score, Turn, Turns};
use crate::serve::{Runtime, Service};

/// The bound on the throughput, in times the bare loop's.
const BOUND: f64 = 0.97;

/// The length of a message that is echoed.
pub(crate) const MESSAGE: usize = 16 << 10;

/// The buffer of each direction of a proxy: the size to which coreloop's
/// `copy_bidirectional` grows.
pub(crate) const PROXY_BUFFER: usize = 64 << 10;

/// How many bytes the streaming client sends or discards at once.
const CHUNK: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// 16 KiB echoes.
    Echo,
    /// A stream through a proxy.
    Proxy,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// What to measure; by default all.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// How many connections echo.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How many echoes make a turn.
    #[arg(long, default_value_t = 8000)]
    echoes: u64,
    /// How many mebibytes go through a proxy in a turn.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    #[command(flatten)]
    turns: Turns,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wanted(Part::Echo) {
        measure_echo(options)?;
    }
    if wanted(Part::Proxy) {
        measure_proxy(options)?;
    }
    Ok(())
}

fn measure_echo(options: &Options) -> io::Result<()> {
    let exchange = Exchange {
        request: vec![b'x'; MESSAGE],
        reply: MESSAGE,
        closes: false,
    };
    let turn = Turn {
        requests: options.echoes,
        connections: Connections::Kept(options.connections as u64),
    };
    let in_rounds = options.turns.instructions;
    let contestants = everybody(Service::Echo);
    let scores = contest::run("16 KiB echo", &options.turns, turn, &contestants, |port| {
        client::drive(port, options.connections, exchange.clone(), in_rounds)
    })?;
    judge("16 KiB echo", scores.as_deref());
    Ok(())
}

/// A turn is one connection with all its bytes, and a request is a mebibyte of them.
fn measure_proxy(options: &Options) -> io::Result<()> {
    let upstream = Rc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let mut contestants = everybody(Service::Proxy);
    for contestant in &mut contestants {
        contestant.server.upstream = upstream.local_addr()?.port();
    }
    let turn = Turn {
        requests: options.mebibytes,
        connections: Connections::Kept(1),
    };
    let title = "a MiB through a proxy";
    let scores = contest::run(title, &options.turns, turn, &contestants, |port| {
        let upstream = Rc::clone(&upstream);
        Ok(Box::new(move |mebibytes| {
            through_proxy(port, &upstream, mebibytes << 20)?;
            Ok(mebibytes)
        }))
    })?;
    judge(title, scores.as_deref());
    Ok(())
}

/// The contestants: coreloop first, the ones that it is compared with last.
fn everybody(service: Service) -> [Contestant; 3] {
    [Runtime::Coreloop, Runtime::Tokio, Runtime::Bare]
        .map(|runtime| Contestant::new(service, runtime))
}

fn judge(title: &str, scores: Option<&[Score]>) {
    if let Some([own, _, bare]) = scores {
        contest::judge_throughput(title, own, bare, BOUND);
    }
}

/// Sends a number of bytes through the proxy at `port`, which connects to `upstream`.
/// Closes when all bytes have arrived there.
fn through_proxy(port: u16, upstream: &TcpListener, bytes: u64) -> io::Result<()> {
    let mut near = connect(port)?;
    let (far, _) = upstream.accept()?;
    thread::scope(|scope| {
        let arrival = scope.spawn(|| drop_all(&far));
        let chunk = vec![b'x'; CHUNK];
        for _ in 0..bytes / CHUNK as u64 {
            near.write_all(&chunk)?;
        }
        near.shutdown(Shutdown::Write)?;
        let arrived = arrival.join().map_err(|_| ErrorKind::Other)??;
        // The proxy also passes on the end of the far side.
        far.shutdown(Shutdown::Write)?;
        let after = near.read(&mut [0])?;
        if arrived == bytes && after == 0 {
            Ok(())
        } else {
            Err(ErrorKind::InvalidData.into())
        }
    })
}

/// Lets the kernel discard all bytes that arrive, and returns their number.
fn drop_all(stream: &TcpStream) -> io::Result<u64> {
    let mut room = vec![0; CHUNK];
    let mut total = 0;
    loop {
        match recv(stream.as_raw_fd(), &mut room, MsgFlags::MSG_TRUNC) {
            Ok(0) => return Ok(total),
            Ok(count) => total += count as u64,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
