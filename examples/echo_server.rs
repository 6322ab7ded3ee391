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
use std::io;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::select;
use coreloop::signal::unix::{SignalKind, signal};
use coreloop::sync::Notify;
use coreloop::time::sleep;

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
    let mut interrupts = signal(SignalKind::interrupt())?;
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
    select! {
        result = accept(&listener, &served) => result?,
        _ = interrupts.recv() => {}
    }

    drop(listener);
    println!(
        "no longer accepting; open connections: {}",
        served.open.get()
    );
    let last = async {
        while served.open.get() > 0 {
            served.all_closed.notified().await;
        }
    };
    // A second Ctrl-C ends the wait, as the end of the grace period does.
    select! {
        () = last => {}
        _ = interrupts.recv() => {}
        () = sleep(GRACE) => {}
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
