//! Supervised workers: the cost of an echo, the time to replace a killed worker, and the
//! cost of idle processes.
//!
//! A separate binary with its own feature: only this one needs tokio's multi-thread
//! scheduler. `README.md` describes the measurements.

mod bare;
#[path = "../../child.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod child;
mod echo;
mod family;
mod idle;
#[path = "../../load.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod load;
mod pace;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
mod restart;
#[path = "../../samples.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;
mod serve;
#[path = "../../serving.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod serving;

use std::io;

use clap::{Parser, Subcommand};

/// Measures supervised workers.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Server CPU time per 64-byte echo, beside tokio with as many threads.
    Echo(echo::Options),
    /// From the kill of a worker to the first answer of the next.
    Restart(restart::Options),
    /// CPU time and wake-ups of an idle master and its workers.
    Idle(idle::Options),
    /// Serves, and prints its port.
    Serve(serve::Options),
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Echo(options) => echo::measure(&options),
        Command::Restart(options) => restart::measure(&options),
        Command::Idle(options) => idle::measure(&options),
        Command::Serve(options) => serve::serve(&options),
    }
}
