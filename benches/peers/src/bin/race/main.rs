//! The end-to-end race: echo servers on every runtime, over sizes, connections
//! and depths, and how what an echo costs grows with the connections.
//!
//! A binary of its own, like `timers`: what it instantiates would change how the
//! compiler divides and inlines the code whose instructions the other one counts.
//! `README.md` says what is measured and how.

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
    /// What an echo costs, and the server weighs, with 1 to 10 000 connections.
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
