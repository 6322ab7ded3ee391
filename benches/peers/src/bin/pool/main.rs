//! Functions in other processes: the cost of a job beside a bare socket, `spawn_blocking` and
//! Python's pools.
//!
//! A separate binary, like `timers`, because the code that it instantiates would change how
//! the compiler divides and inlines the code whose instructions `instructions` counts.
//! `README.md` describes the measurements.

mod bare;
#[path = "../processes/family.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod family;
mod python;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[path = "../../samples.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;

use std::io;
use std::process;
use std::time::Duration;

use clap::Parser;
use coreloop::Runtime;
use coreloop::pool::Pool;
use coreloop::task::spawn_blocking;
use futures_lite::StreamExt;
use nix::unistd::alarm;
use serde_bytes::ByteBuf;

use crate::family::Family;
use crate::python::Python;
use crate::report::Place;
use crate::samples::Samples;

/// The length of a small message of the bare socket.
const MESSAGE: usize = 64;
/// The length of the argument and the result of a small job: both frames have the length of
/// a message.
const ARGUMENT: usize = 39;
/// The length of a large argument.
const LARGE: usize = 1 << 20;
/// The number of items in a chunk.
const CHUNK: usize = 100;

/// Measures jobs of a pool.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// How many turns each contestant gets.
    #[arg(long, default_value_t = 15)]
    turns: usize,
    /// How many jobs make a turn: a tenth of them one by one, and twenty times as many items
    /// of a map.
    #[arg(long, default_value_t = 10_000)]
    jobs: usize,
    /// How many large messages make a turn.
    #[arg(long, default_value_t = 50)]
    large: usize,
    /// Measures one of the cases only, once, and prints its CPU time in microseconds
    #[arg(long)]
    only: Option<String>,
    /// The number of workers of each pool; by default one for each core, as for Python's pools
    #[arg(long)]
    workers: Option<u32>,
}

#[coreloop::job]
fn echo(bytes: ByteBuf) -> ByteBuf {
    bytes
}

#[coreloop::job]
fn sum(bytes: ByteBuf) -> u64 {
    sum_of(&bytes)
}

fn small_argument() -> ByteBuf {
    ByteBuf::from(vec![b'x'; ARGUMENT])
}

/// Adds bytes up.
pub(crate) fn sum_of(bytes: &[u8]) -> u64 {
    bytes.iter().copied().map(u64::from).sum()
}

/// The contestants and their figures, in microseconds of CPU time.
const CASES: [(&str, &str); 8] = [
    ("ping-pong", "a message and its answer, bare"),
    ("one", "a job, one by one"),
    ("many", "a job, many at once"),
    ("spawn_blocking", "a closure, many at once"),
    ("map", "an item, in chunks of 100"),
    ("bare-large", "1 MiB and an answer, bare"),
    ("large", "a job with 1 MiB"),
    ("blocking-one", "a closure, one by one"),
];

fn main() -> io::Result<()> {
    coreloop::pool::enter_worker();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(bare::WORD) {
        let length = arguments.next().and_then(|length| length.parse().ok());
        return bare::answer(length.unwrap_or(MESSAGE));
    }
    let options = Options::parse();
    // No measurement may hang.
    alarm::set(600);
    Runtime::new()?.block_on(measure(&options))
}

async fn measure(options: &Options) -> io::Result<()> {
    let mut contest = Contest::start(options).await?;
    if let Some(only) = &options.only {
        let figure = contest.turn(only).await?;
        println!("{only}: {figure:.3}");
        // So that valgrind writes what it has counted in the worker.
        contest.pool.shutdown(Duration::from_secs(10)).await;
        return Ok(());
    }
    let mut python = Python::start(options.workers)
        .inspect_err(|error| report::left_out("Python", error))
        .ok();
    let mut table: Vec<_> = CASES
        .iter()
        .map(|(case, _)| (*case, Samples::default()))
        .collect();
    let (mut apply, mut submit, mut map) =
        (Samples::default(), Samples::default(), Samples::default());
    // The first turn warms up and does not count.
    for turn in 0..=options.turns {
        for (case, samples) in &mut table {
            let figure = contest.turn(case).await?;
            if turn > 0 {
                samples.push(figure);
            }
        }
        if let Some(python) = &mut python {
            let figures = python.turn()?;
            if turn > 0 {
                apply.push(figures.apply);
                submit.push(figures.submit);
                map.push(figures.map);
            }
        }
    }
    if python.is_some() {
        table.push(("Pool.apply", apply));
        table.push(("ProcessPoolExecutor", submit));
        table.push(("Pool.map", map));
    }
    print(options, &table);
    Ok(())
}

fn print(options: &Options, table: &[(&str, Samples)]) {
    println!(
        "\nCPU time of all processes, µs each, {} turns",
        options.turns
    );
    let place = Place {
        part: "pool",
        case: "jobs",
    };
    report::minima(place, "µs", table);
    let row = |name: &str| {
        let mut rows = table.iter().filter(|(row, _)| *row == name);
        rows.next().map(|(_, samples)| samples)
    };
    for (own, other, bound) in [
        ("one", "ping-pong", 1.4),
        ("one", "Pool.apply", 1.0 / 8.0),
        ("one", "ProcessPoolExecutor", 1.0 / 18.0),
        ("many", "ping-pong", 0.3),
        ("many", "spawn_blocking", 0.5),
        ("map", "Pool.map", 1.0 / 3.0),
        ("large", "bare-large", 1.8),
    ] {
        match (row(own), row(other)) {
            (Some(own_row), Some(other_row)) => {
                let what = format!("pool: {own} to {other}");
                report::bound(&what, own_row.ratios_to(other_row), bound);
            }
            _ => println!("pool: {own} to {other}: skipped"),
        }
    }
}

/// Everything that is measured, with its processes.
struct Contest<'a> {
    options: &'a Options,
    small: bare::Peer,
    large: bare::Peer,
    pool: Pool,
    family: Family,
}

impl<'a> Contest<'a> {
    async fn start(options: &'a Options) -> io::Result<Contest<'a>> {
        let small = bare::Peer::start(MESSAGE)?;
        let large = bare::Peer::start(LARGE)?;
        let mut builder = Pool::builder().queue(options.jobs);
        if let Some(workers) = options.workers {
            builder = builder.workers(workers);
        }
        if options.only.is_some() {
            builder = builder.program(std::env::current_exe()?);
        }
        let pool = builder.build()?;
        pool.ready().await.map_err(io::Error::other)?;
        let family = Family::of(process::id())?;
        Ok(Contest {
            options,
            small,
            large,
            pool,
            family,
        })
    }

    /// Measures a case once, and returns the CPU time of each in microseconds.
    async fn turn(&mut self, case: &str) -> io::Result<f64> {
        let (jobs, large) = (self.options.jobs, self.options.large);
        let count = match case {
            "ping-pong" | "one" | "blocking-one" => jobs / 10,
            "bare-large" | "large" => large,
            "map" => jobs * 20,
            _ => jobs,
        };
        // Large arguments are made before, because the bare socket needs none.
        let large = if case.ends_with("large") { large } else { 0 };
        let arguments = vec![ByteBuf::from(vec![b'x'; LARGE]); large];
        let before = self.family.cpu_time()?;
        match case {
            "ping-pong" => {
                for _ in 0..count {
                    self.small.call(&[b'x'; MESSAGE])?;
                }
            }
            "bare-large" => {
                for argument in arguments {
                    self.large.call(&argument)?;
                }
            }
            "one" => {
                for _ in 0..count {
                    let result = self.pool.run(echo, small_argument()).await;
                    result.map_err(io::Error::other)?;
                }
            }
            "large" => {
                for argument in arguments {
                    let result = self.pool.run(sum, argument).await;
                    result.map_err(io::Error::other)?;
                }
            }
            "many" => {
                let mut handles = Vec::with_capacity(count);
                for _ in 0..count {
                    let handle = self.pool.submit(echo, small_argument()).await;
                    handles.push(handle.map_err(io::Error::other)?);
                }
                for handle in handles {
                    handle.await.map_err(io::Error::other)?;
                }
            }
            "spawn_blocking" => {
                let mut handles = Vec::with_capacity(count);
                for _ in 0..count {
                    let argument = small_argument();
                    handles.push(spawn_blocking(|| echo(argument)));
                }
                for handle in handles {
                    handle.await.map_err(io::Error::other)?;
                }
            }
            "blocking-one" => {
                for _ in 0..count {
                    let argument = small_argument();
                    let handle = spawn_blocking(|| echo(argument));
                    handle.await.map_err(io::Error::other)?;
                }
            }
            "map" => {
                let inputs = (0..count).map(|_| small_argument());
                let mut results = self.pool.map(echo, inputs).chunks(CHUNK);
                while let Some(result) = results.next().await {
                    result.map_err(io::Error::other)?;
                }
            }
            _ => return Err(io::Error::other(format!("there is no case {case}"))),
        }
        let elapsed = self.family.cpu_time()? - before;
        Ok(elapsed.as_secs_f64() * 1e6 / count as f64)
    }
}
