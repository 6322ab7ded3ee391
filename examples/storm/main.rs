//! Storms a server with clients that connect all the time, and says what became
//! of each connection: answered, refused, reset, closed or forgotten.
//!
//! The server answers the byte `p` with a line, `pid slot generation`, as
//! `tests/support/programs/process_app.rs` does. With its workers running, run
//!
//! ```sh
//! cargo run --release -p coreloop-examples --example storm -- --addr 127.0.0.1:7777 --seconds 5
//! ```
//!
//! and reload, scale or upgrade it meanwhile: no connection is to fail. With
//! `--greeted --kill 38` the storm itself kills the server's workers, by
//! `SIGKILL`, and tells which connections that cost: those that the worker had
//! accepted, which are lost in any design, and those that still were in the queue
//! of its socket, which are not to be.
//!
//! # How the two are told apart
//!
//! The server says its line as soon as it has accepted, and a greeted client asks
//! nothing before. So a connection whose server dies ends in one of three ways:
//!
//! - after the line: the server had accepted it, and the line says which one;
//! - before the line, by an end of file: the server was killed between its
//!   `accept` and its line. The kernel closed the connection as a descriptor of
//!   the process, and sends a `FIN` for one whose bytes have all been read, which
//!   they have, as there were none. One that accepts and greets one connection
//!   after another has at most one of these at its death;
//! - before the line, by a reset: nobody had accepted it. The kernel resets what
//!   is left in the queue of a listening socket when its last descriptor is
//!   closed. This is what is lost in the queue, and so are refused connections
//!   and those that nobody ever greets.
//!
//! So the figure is exact, and no side has to count anything in shared memory.
//!
//! What is for programs goes to the standard output, a line each, of words
//! `name=value`: `server` at the first line of each, `progress`, `killed`,
//! `restarted`, and `summary` at the end. What is for people goes to the standard
//! error. The storm fails if a connection failed for which no kill accounts.

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

/// Storms a server with clients that connect all the time.
#[derive(Debug, Parser)]
struct Options {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:7777")]
    addr: SocketAddr,
    /// How many clients there are at once
    #[arg(long, default_value = "256")]
    clients: NonZeroUsize,
    /// The server says its line first: ask nothing before
    #[arg(long)]
    greeted: bool,
    /// Asks on over the same connection, until the server closes it
    #[arg(long)]
    keep_alive: bool,
    /// How long to go on; else until the standard input has a line, or ends
    #[arg(long)]
    seconds: Option<f64>,
    /// Ends after so many answers
    #[arg(long)]
    answers: Option<u64>,
    /// Ends after so many connections, whatever becomes of them
    #[arg(long)]
    connections: Option<u64>,
    /// Kills so many servers, one after another, and ends when all is well again
    #[arg(long, requires = "greeted")]
    kill: Option<u64>,
    /// How many answers there are from one kill to the next
    #[arg(long, default_value = "500")]
    every: NonZeroU64,
    /// Says so after every so many answers
    #[arg(long)]
    progress: Option<NonZeroU64>,
    /// How many seconds a client waits for each thing
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
    /// Says nothing to people
    #[arg(long)]
    quiet: bool,
}

/// What all clients share.
#[derive(Debug)]
struct Storm {
    options: Options,
    /// How many connections have been begun.
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
        tally.tell(&kills, length);
    }
    // Not by returning: a thread may still read the standard input.
    std::process::exit(i32::from(!tally.is_well(&kills)))
}

impl Storm {
    fn new(options: Options) -> io::Result<Storm> {
        Ok(Storm {
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

    /// Goes on until it is told to stop, or has had enough; answers how long that was.
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
        // None is cut off: what is under way now is to end well too.
        for client in clients {
            client.await.map_err(io::Error::other)??;
        }
        Ok(start.elapsed())
    }

    /// Waits for whatever is to end the storm from outside.
    async fn stop(&self) {
        let options = &self.options;
        let ends = options.answers.or(options.connections).or(options.kill);
        match options.seconds {
            Some(seconds) => sleep(Duration::from_secs_f64(seconds)).await,
            None if ends.is_some() => std::future::pending().await,
            None => drop(spawn_blocking(|| io::stdin().read_line(&mut String::new())).await),
        }
    }

    /// Whether another connection is to be begun.
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

    /// A server has said its line.
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

/// Says something to the program that has started the storm.
fn say(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
