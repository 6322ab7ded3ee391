//! Supervised workers: what an echo costs their processes, how soon a killed one
//! is replaced, and what they cost when there is nothing to do.
//!
//! A binary of its own, and a feature of its own: it alone needs tokio's
//! multi-thread scheduler. `README.md` says what is measured and how.

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
    /// CPU time and wake-ups of a master and workers with nothing to do.
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
