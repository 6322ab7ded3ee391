//! An echo server: it sends back whatever it receives.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release --example echo_server
//! ```
//!
//! and talk to it with `nc 127.0.0.1 7777`, or put it under load with the
//! `echo_client` example. Ctrl-C stops it.

use std::cell::Cell;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use coreloop::io::Async;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::sync::Notify;
use coreloop::time::timeout;
use futures_lite::future::or;
use signal_hook::consts::SIGINT;

/// How long open connections may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// Sends back whatever it receives.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: String,
}

/// What the server has done so far. All tasks run on one thread, so plain cells do.
#[derive(Default)]
struct Served {
    connections: Cell<u64>,
    messages: Cell<u64>,
    bytes: Cell<u64>,
    open: Cell<u64>,
    all_closed: Notify,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    coreloop::block_on(serve(&options.addr))
}

async fn serve(address: &str) -> io::Result<()> {
    // The signal handler writes to one end; the loop waits for the other.
    let (signals, handler) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGINT, handler)?;
    let signals = Async::new(signals)?;
    let interrupt = || signals.read_with(|mut signals| signals.read(&mut [0; 16]));

    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    let bound = listener.local_addr()?;
    println!(
        "listening on {bound}; try: nc {} {}",
        bound.ip(),
        bound.port()
    );

    let served = Rc::new(Served::default());
    or(accept(&listener, &served), async {
        interrupt().await.map(drop)
    })
    .await?;

    drop(listener);
    println!(
        "no longer accepting; open connections: {}",
        served.open.get()
    );
    let last = async {
        while served.open.get() > 0 {
            served.all_closed.notified().await;
        }
        Ok(0)
    };
    // A second Ctrl-C ends the wait, as the end of the grace period does.
    if let Ok(result) = timeout(GRACE, or(last, interrupt())).await {
        result?;
    }
    println!(
        "served {} connections, {} bytes in {} messages",
        served.connections.get(),
        served.bytes.get(),
        served.messages.get(),
    );
    Ok(())
}

async fn accept(listener: &TcpListener, served: &Rc<Served>) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let served = Rc::clone(served);
        coreloop::spawn(async move {
            add(&served.connections, 1);
            add(&served.open, 1);
            // What goes wrong with one connection is no concern of the others.
            if let Err(error) = echo(stream, &served).await {
                eprintln!("{peer}: {error}");
            }
            served.open.set(served.open.get() - 1);
            if served.open.get() == 0 {
                served.all_closed.notify_one();
            }
        });
    }
}

async fn echo(mut stream: TcpStream, served: &Served) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
        add(&served.messages, 1);
        add(&served.bytes, count as u64);
    }
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}
