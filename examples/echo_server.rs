//! An echo server: it sends back what it receives.
//!
//! Run it with
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example echo_server
//! ```
//!
//! and talk to it with `nc 127.0.0.1 7777`, or put it under load with the
//! `echo_client` example. Ctrl-C stops it. With `--workers 2` the server runs in
//! two processes that a master supervises, with `--threads 2` in two threads.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use coreloop::net::{TcpListener, TcpStream};
use coreloop::process::{Supervisor, Worker, Workers};
use coreloop::select;
use coreloop::signal::unix::{SignalKind, signal};
use coreloop::sync::Notify;
use coreloop::time::sleep;

/// The time that open connections have to finish after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// Sends back what it receives.
#[derive(Parser)]
struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: String,
    /// How many supervised processes serve
    #[arg(long)]
    workers: Option<u32>,
    /// How many threads serve
    #[arg(long, conflicts_with = "workers")]
    threads: Option<u32>,
    /// The path of the master's control socket, for `coreloop-ctl`
    #[arg(long)]
    control: Option<PathBuf>,
}

/// Counts what a loop has served. All its tasks run on one thread, so cells suffice.
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
    let workers = match (options.workers, options.threads) {
        (Some(count), _) => Workers::processes(count),
        (_, Some(count)) => Workers::threads(count),
        _ => return coreloop::block_on(serve(&options.addr)),
    };
    let mut supervisor = Supervisor::new()
        .workers(workers)
        .bind(&options.addr)?
        .drain(GRACE);
    if let Some(path) = options.control {
        supervisor = supervisor.control(path);
    }
    // Each worker process runs this too, but only the master has an address.
    if let Some(bound) = supervisor.local_addr(0) {
        announce(bound);
    }
    supervisor.run(work)
}

/// Serves in one of several workers, until the master ends it.
async fn work(worker: Worker) -> io::Result<()> {
    let served = Rc::new(Served::default());
    let listener = worker.listener(0)?;
    while let Some((stream, peer)) = listener.accept().await? {
        start(stream, peer, &served);
    }
    served.last().await;
    served.sum_up();
    Ok(())
}

/// Serves on a single loop, until Ctrl-C.
async fn serve(address: &str) -> io::Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    announce(listener.local_addr()?);

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
    // A second Ctrl-C ends the wait, and so does the end of the grace period.
    select! {
        () = served.last() => {}
        _ = interrupts.recv() => {}
        () = sleep(GRACE) => {}
    }
    served.sum_up();
    Ok(())
}

async fn accept(listener: &TcpListener, served: &Rc<Served>) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        start(stream, peer, served);
    }
}

fn announce(bound: SocketAddr) {
    println!(
        "listening on {bound}; try: nc {} {}",
        bound.ip(),
        bound.port()
    );
}

fn start(stream: TcpStream, peer: SocketAddr, served: &Rc<Served>) {
    let served = Rc::clone(served);
    coreloop::spawn(async move {
        add(&served.connections, 1);
        add(&served.open, 1);
        // An error of one connection does not affect the others.
        if let Err(error) = echo(stream, &served).await {
            eprintln!("{peer}: {error}");
        }
        served.open.set(served.open.get() - 1);
        if served.open.get() == 0 {
            served.all_closed.notify_one();
        }
    });
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

impl Served {
    /// Waits until no connection is open.
    async fn last(&self) {
        while self.open.get() > 0 {
            self.all_closed.notified().await;
        }
    }

    fn sum_up(&self) {
        println!(
            "served {} connections, {} bytes in {} messages",
            self.connections.get(),
            self.bytes.get(),
            self.messages.get(),
        );
    }
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}
