//! The end-to-end race: echo servers on every runtime, with several sizes, connections and
//! depths, and the growth of the cost with the connections.
//!
//! A separate binary, like `timers`: the code that it instantiates would change how the
//! compiler divides and inlines the code whose instructions `instructions` counts.
//! `README.md` describes the measurements.

#[path = "../../child.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod child;
mod client;
mod echo;
mod growth;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[path = "../../samples.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;
mod serve;
#[path = "../../serving.rs"]
mod serving;

use std::io;

use clap::{Parser, Subcommand};

/// Races echo servers.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Throughput, server CPU time and latency of echoes.
    Echo(echo::Options),
    /// The cost of an echo and the server's memory, with 1 to 10 000 connections.
    Growth(growth::Options),
    /// Serves echo, prints its port, and exits when all connections have closed.
    Serve(serve::Options),
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Echo(options) => echo::measure(&options),
        Command::Growth(options) => growth::measure(&options),
        Command::Serve(options) => serve::serve(&options),
    }
}
