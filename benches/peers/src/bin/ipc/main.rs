//! What processes say to each other: the cost of a pipe, a queue, a manager and shared memory
//! beside bare sockets, the bare crate `redis`, and Python's `multiprocessing`.
//!
//! A separate binary, like `pool`. `README.md` describes the measurements.

#[path = "../pool/bare.rs"]
mod bare;
mod bare_tcp;
mod child;
mod contest;
#[path = "../processes/family.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod family;
mod manager;
mod pipes;
mod python;
mod queue;
mod redis_bare;
mod redis_jobs;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[path = "../../samples.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;
mod shared;

use std::io;

use clap::Parser;
use coreloop::Runtime;
use nix::unistd::alarm;

use crate::contest::Contest;
use crate::report::Place;
use crate::samples::Samples;

/// The length of a message, and of an item of a queue.
const MESSAGE: usize = 64;
/// The length of the argument of a job over Redis.
const ARGUMENT: usize = 64;

/// Measures what processes say to each other.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// How many turns each contestant gets.
    #[arg(long, default_value_t = 15)]
    turns: usize,
    /// How many items of a queue make a turn: a tenth as many messages with answers, and
    /// a twentieth as many calls of a manager.
    #[arg(long, default_value_t = 20_000)]
    items: usize,
    /// How many jobs over Redis make a turn.
    #[arg(long, default_value_t = 12_800)]
    jobs: usize,
    /// Measures one of the cases only, once, and prints its CPU time in microseconds
    #[arg(long)]
    only: Option<String>,
}

/// The cases in the order of a turn, and the script's name of a case of Python's.
const CASES: [(&str, Option<&str>); 13] = [
    ("bare socket", None),
    ("pipe", None),
    ("pipe, blocking", None),
    ("Python's Pipe", Some("pipe")),
    ("bare TCP, twice", None),
    ("manager", None),
    ("Python's BaseManager", Some("manager")),
    ("SharedSlice", None),
    ("Queue", None),
    ("Python's Queue", Some("queue")),
    ("redis, bare", None),
    ("redis", None),
    ("pool of redis", None),
];

/// A case, what it is compared with, and the bound of the ratio.
const BOUNDS: [(&str, &str, f64); 5] = [
    ("redis", "redis, bare", 1.3),
    ("Queue", "Python's Queue", 1.0 / 4.0),
    ("manager", "Python's BaseManager", 1.0 / 4.0),
    ("pipe", "bare socket", 1.4),
    ("pipe", "Python's Pipe", 1.0 / 3.0),
];

/// Adds bytes up, for the child at the other end of a bare socket.
fn sum_of(bytes: &[u8]) -> u64 {
    bytes.iter().copied().map(u64::from).sum()
}

fn main() -> io::Result<()> {
    coreloop::pool::enter_worker();
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(bare::WORD) => return bare::answer(MESSAGE),
        Some(child::WORD) => {
            return match arguments.next().as_deref() {
                Some(pipes::TASKS) => pipes::answer(),
                Some(pipes::BLOCKING) => pipes::answer_blocking(),
                Some(shared::CASE) => shared::read(),
                Some(queue::CASE) => queue::consume(),
                Some(manager::CASE) => manager::serve(),
                _ => Err(io::Error::other("there is no such child")),
            };
        }
        _ => {}
    }
    let options = Options::parse();
    // No measurement may hang.
    alarm::set(900);
    Runtime::new()?.block_on(measure(&options))
}

async fn measure(options: &Options) -> io::Result<()> {
    let mut contest = Contest::start(options).await?;
    let cases = CASES.iter().filter(|(case, _)| {
        let only = options.only.as_deref();
        only.is_none_or(|only| only == *case)
    });
    let mut table: Vec<_> = cases
        .map(|&(case, script)| (case, script, Samples::default()))
        .collect();
    // The first turn warms up and does not count.
    for turn in 0..=options.turns {
        for (case, script, samples) in &mut table {
            let figure = contest.turn(case, *script).await?;
            if turn > 0
                && let Some(figure) = figure
            {
                samples.push(figure);
            }
        }
    }
    table.retain(|(_, _, samples)| samples.spread().turns > 0);
    let table: Vec<_> = table
        .into_iter()
        .map(|(case, _, samples)| (case, samples))
        .collect();
    print(options, &table);
    let residence = contest.residence().await?;
    report::bound("ipc: memory of a SharedSlice", residence, 1.01);
    Ok(())
}

fn print(options: &Options, table: &[(&str, Samples)]) {
    println!(
        "\nCPU time of all processes but servers, µs each, {} turns",
        options.turns
    );
    let place = Place {
        part: "ipc",
        case: "messages",
    };
    report::minima(place, "µs", table);
    let row = |name: &str| {
        let mut rows = table.iter().filter(|(row, _)| *row == name);
        rows.next().map(|(_, samples)| samples)
    };
    for (own, other, bound) in BOUNDS {
        match (row(own), row(other)) {
            (Some(own_row), Some(other_row)) => {
                let what = format!("ipc: {own} to {other}");
                report::bound(&what, own_row.ratios_to(other_row), bound);
            }
            _ => println!("ipc: {own} to {other}: skipped"),
        }
    }
    if let Some(samples) = row("SharedSlice") {
        report::bound("ipc: hand-over of a SharedSlice, µs", samples, 100.0);
    }
}
