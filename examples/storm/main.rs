//! Loads a server with clients that connect all the time, and counts how the connections end:
//! answered, refused, reset, closed or timed out.
//!
//! The server answers the byte `p` with a line, `pid slot generation`, as
//! `tests/support/programs/process_app.rs` does. With its workers running, run
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example storm -- --addr 127.0.0.1:7777 --seconds 5
//! ```
//!
//! and reload, scale or upgrade it meanwhile: no connection should fail. With
//! `--greeted --kill 38` the storm itself kills the server's workers with `SIGKILL`, and counts
//! the lost connections: the ones that the worker had accepted, which are lost in any design,
//! and the ones that were still in the queue of its socket, which should not be lost.
//!
//! # How the two are distinguished
//!
//! The server sends its line as soon as it has accepted, and a greeted client sends nothing
//! before. So a connection whose server dies ends in one of three ways:
//!
//! - after the line: the server had accepted it, and the line names the server;
//! - before the line, with an end of file: the server was killed between its `accept` and its
//!   line. The kernel closed the connection with the process, and sends a `FIN` if all
//!   received bytes have been read, which is the case, as there were none. A server that
//!   accepts and greets one connection after another has at most one of these when it dies;
//! - before the line, with a reset: the connection was not accepted. The kernel resets the
//!   connections in the queue of a listener when its last descriptor is closed. These count
//!   as lost in the queue, and so do refused connections and ones that are never greeted.
//!
//! So the count is exact, without any counting in shared memory.
//!
//! The standard output is for programs: lines of words `name=value`, with `server` for the
//! first line of each server, `progress`, `killed`, `restarted`, and `summary` at the end. The
//! standard error is for people. The storm fails if a connection failed that no kill explains.

mod client;
mod kills;
mod tally;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use coreloop::select;
use coreloop::sync::Notify;
use coreloop::task::spawn_blocking;
use coreloop::time::sleep;

use client::Server;
use kills::Kills;
use tally::{Ending, Tally};

/// Loads a server with clients that connect all the time.
#[derive(Debug, Parser)]
struct Options {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: SocketAddr,
    /// How many clients there are at once
    #[arg(long, default_value = "256")]
    clients: NonZeroUsize,
    /// The server sends its line first: send nothing before
    #[arg(long)]
    greeted: bool,
    /// Sends further requests over the same connection, until the server closes it
    #[arg(long)]
    keep_alive: bool,
    /// How long to run; otherwise until the standard input has a line, or ends
    #[arg(long)]
    seconds: Option<f64>,
    /// Ends after this many answers
    #[arg(long)]
    answers: Option<u64>,
    /// Ends after this many connections, however they end
    #[arg(long)]
    connections: Option<u64>,
    /// Kills this many servers, one after another, and ends when all are replaced
    #[arg(long, requires = "greeted")]
    kill: Option<u64>,
    /// How many answers there are from one kill to the next
    #[arg(long, default_value = "500")]
    every: NonZeroU64,
    /// Prints the progress each time this many answers have come
    #[arg(long)]
    progress: Option<NonZeroU64>,
    /// How many seconds a client waits for each step
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
    /// Prints nothing to the standard error
    #[arg(long)]
    quiet: bool,
}

/// The state that all clients share.
#[derive(Debug)]
struct Storm {
    options: Options,
    /// How many connections have begun.
    begun: Cell<u64>,
    /// How many clients are connected and not greeted yet.
    waiting: Cell<u64>,
    seen: RefCell<HashSet<Server>>,
    tally: RefCell<Tally>,
    kills: RefCell<Kills>,
    over: Cell<bool>,
    enough: Notify,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let storm = Rc::new(Storm::new(options)?);
    let length = coreloop::block_on(storm.clone().run())?;
    let (tally, kills) = (storm.tally.borrow(), storm.kills.borrow());
    say(format_args!("{}", tally.summary(&kills)))?;
    if !storm.options.quiet {
        tally.print(&kills, length);
    }
    // Exits instead of returning, as a thread may still read the standard input.
    std::process::exit(i32::from(!tally.is_well(&kills)))
}

impl Storm {
    fn new(options: Options) -> io::Result<Self> {
        Ok(Self {
            begun: Cell::new(0),
            waiting: Cell::new(0),
            seen: RefCell::default(),
            tally: RefCell::new(Tally::new(options.greeted)?),
            kills: RefCell::new(Kills::new(options.kill.unwrap_or(0), options.every.get())),
            over: Cell::new(false),
            enough: Notify::new(),
            options,
        })
    }

    /// Runs until the storm is stopped or a limit is reached. Returns how long it ran.
    async fn run(self: Rc<Self>) -> io::Result<Duration> {
        let start = Instant::now();
        let clients: Vec<_> = (0..self.options.clients.get())
            .map(|_| coreloop::spawn(client::run(Rc::clone(&self))))
            .collect();
        select! {
            () = self.enough.notified() => {}
            () = self.stop() => {}
        }
        self.over.set(true);
        // No connection is cut off: the open ones are finished.
        for client in clients {
            client.await.map_err(io::Error::other)??;
        }
        Ok(start.elapsed())
    }

    /// Waits for the time limit, or for a line or the end of the standard input.
    async fn stop(&self) {
        let options = &self.options;
        let ends = options.answers.or(options.connections).or(options.kill);
        match options.seconds {
            Some(seconds) => sleep(Duration::from_secs_f64(seconds)).await,
            None if ends.is_some() => std::future::pending().await,
            None => drop(spawn_blocking(|| io::stdin().read_line(&mut String::new())).await),
        }
    }

    /// Returns whether another connection should begin.
    fn begin(&self) -> bool {
        let begun = self.begun.get();
        if self.options.connections.is_some_and(|most| begun >= most) {
            self.finish();
        }
        if self.over.get() {
            return false;
        }
        self.begun.set(begun + 1);
        true
    }

    fn finish(&self) {
        self.over.set(true);
        self.enough.notify_one();
    }

    /// Notes that a server has sent its line.
    fn met(&self, server: Server) -> io::Result<()> {
        let mut kills = self.kills.borrow_mut();
        if self.seen.borrow_mut().insert(server) {
            kills.appeared(server)?;
            say(format_args!("server {server}"))?;
        }
        kills.proceed(self.tally.borrow().answers(), self.waiting.get())
    }

    fn answered(&self, took: Duration) -> io::Result<()> {
        let answers = self.tally.borrow_mut().answered(took);
        if let Some(step) = self.options.progress
            && answers % step == 0
        {
            say(format_args!("progress answered={answers}"))?;
        }
        if self.options.answers.is_some_and(|most| answers >= most) {
            self.finish();
        }
        if self.options.kill.is_some() && self.kills.borrow().are_over(answers) {
            self.finish();
        }
        Ok(())
    }

    fn failed(&self, ending: Ending, server: Option<Server>) {
        let killed = server.is_some_and(|server| self.kills.borrow().has(server));
        self.tally.borrow_mut().failed(ending, killed);
    }
}

/// Prints a line for the program that has started the storm.
fn say(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
