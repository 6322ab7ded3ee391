//! The program that tests of pools run when they need a whole process. Each line of its
//! standard input is a request, which it answers with a line, in order.
//!
//! | request | what the program does, and its answer |
//! |---|---|
//! | `square N` | runs a job: `ok`, the result and the process of the worker |
//! | `crash`, `overflow`, `panic`, `exit` | runs a job that ends in this way: `broken`, `panicked`, or another word for the error, and its text |
//! | `spin` | submits a job that loops for ever, and prints `spinning` and its process |
//! | `nest` | submits a job that has a pool of its own, in which it runs `spin` |
//! | `queue N` | submits jobs, which wait behind others: `queued` |
//! | `many N` | runs jobs: `ok` and the number of those that have a result |
//! | `ready N` | waits until this many workers are ready: `ready` |
//! | `workers` | `workers` and their processes |
//! | `hold` | opens descriptors until there are no more: `held` and how many |
//! | `free N` | closes some of them: `freed` |
//! | `interrupt` | waits for Ctrl-C while a job runs, then shuts the pool down: `stopped` and the report |
//!
//! At the end of its input it ends.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use clap::Parser;
use coreloop::io::{AsyncBufReadExt, BufReader, stdin};
use coreloop::pool::{JobError, Pool, WorkerState};
use coreloop::process::Restarts;
use coreloop::task::spawn;
use coreloop::time::sleep;
use coreloop_test_support::meeting::meet;
use futures_lite::StreamExt;

#[derive(Parser, Debug, Clone)]
struct Options {
    #[arg(long, default_value_t = 2)]
    workers: u32,
    #[arg(long)]
    prefetch: Option<usize>,
    /// The first wait after a failed start, in milliseconds.
    #[arg(long, default_value_t = 100)]
    backoff: u64,
    /// How many failed starts in a row are too many.
    #[arg(long, default_value_t = 5)]
    failed_starts: u32,
    /// Open all descriptors before the pool is built.
    #[arg(long)]
    hold: bool,
    /// Where the job of `interrupt` meets the test.
    #[arg(long, default_value = "/nowhere")]
    meeting: PathBuf,
}

#[coreloop::job]
fn square(number: u64) -> (u64, u32) {
    (number * number, process::id())
}

#[coreloop::job]
fn crash() {
    process::abort();
}

#[coreloop::job]
fn overflow(depth: u64) -> u64 {
    // Not a loop for the optimizer.
    let below = std::hint::black_box([depth; 64]);
    if depth == u64::MAX {
        return 0;
    }
    overflow(depth + 1) + below[(depth % 64) as usize]
}

#[coreloop::job]
fn meet_the_test(path: PathBuf) -> u32 {
    meet(&path, "interrupted");
    process::id()
}

#[coreloop::job]
fn panic_in_a_job() {
    panic!("as the test wanted");
}

#[coreloop::job]
fn exit(code: i32) {
    process::exit(code);
}

#[coreloop::job]
fn spin() {
    say(&format!("spinning {}", process::id()));
    loop {
        std::hint::spin_loop();
    }
}

/// A worker may have a pool of its own.
#[coreloop::job]
async fn nest() -> Result<(), String> {
    let pool = Pool::builder().workers(1).build();
    let pool = pool.map_err(|error| error.to_string())?;
    say(&format!("nesting {}", process::id()));
    pool.run(spin, ()).await.map_err(|error| error.to_string())
}

fn say(line: &str) {
    // If the test has ended, there is no reader.
    let _ = writeln!(io::stdout(), "{line}");
}

#[coreloop::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut held = Vec::new();
    if options.hold {
        hold(&mut held);
    }
    let restarts = Restarts::new()
        .max_immediate(1_000)
        .min_wait(Duration::from_millis(options.backoff))
        .max_failed_starts(options.failed_starts);
    let mut builder = Pool::builder().workers(options.workers).restarts(restarts);
    if let Some(prefetch) = options.prefetch {
        builder = builder.prefetch(prefetch);
    }
    let pool = builder.build()?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next().await {
        let line = line?;
        let (request, argument) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: u64 = argument.parse()?;
        match request {
            "hold" => {
                hold(&mut held);
                say(&format!("held {}", held.len()));
            }
            "free" => {
                held.truncate(held.len().saturating_sub(usize::try_from(number)?));
                say("freed");
            }
            "interrupt" => say(&interrupt(&pool, &options.meeting).await?),
            _ => say(&answer(&pool, request, number).await?),
        }
    }
    Ok(())
}

fn hold(held: &mut Vec<File>) {
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
}

async fn answer(pool: &Pool, request: &str, number: u64) -> Result<String, Box<dyn Error>> {
    Ok(match request {
        "square" => outcome(pool.run(square, number).await),
        "crash" => outcome(pool.run(crash, ()).await),
        "overflow" => outcome(pool.run(overflow, number).await),
        "panic" => outcome(pool.run(panic_in_a_job, ()).await),
        "exit" => outcome(pool.run(exit, i32::try_from(number)?).await),
        "spin" => {
            drop(pool.submit(spin, ()).await?);
            "submitted".to_owned()
        }
        "nest" => {
            drop(pool.submit(nest, ()).await?);
            "submitted".to_owned()
        }
        "queue" => {
            for _ in 0..number {
                drop(pool.submit(square, 1).await?);
            }
            "queued".to_owned()
        }
        "many" => {
            let mut done = 0;
            for number in 0..number {
                done += u64::from(pool.run(square, number).await.is_ok());
            }
            format!("ok {done}")
        }
        "ready" => {
            while ready(pool) < number {
                sleep(Duration::from_millis(1)).await;
            }
            "ready".to_owned()
        }
        "workers" => {
            let workers = pool.metrics().workers;
            let pids: Vec<_> = workers
                .iter()
                .map(|worker| worker.pid.to_string())
                .collect();
            format!("workers {}", pids.join(" "))
        }
        _ => format!("unknown request {request}"),
    })
}

fn ready(pool: &Pool) -> u64 {
    let workers = pool.metrics().workers;
    let is_ready = |state| matches!(state, WorkerState::Idle | WorkerState::Busy);
    workers
        .iter()
        .filter(|worker| is_ready(worker.state))
        .count() as u64
}

/// Ends like a server that a user interrupts: no job is started any more, and the ones that
/// run finish.
async fn interrupt(pool: &Pool, meeting: &Path) -> io::Result<String> {
    let interrupted = spawn(coreloop::signal::ctrl_c());
    let job = pool.submit(meet_the_test, meeting.to_owned());
    let job = job.await.map_err(io::Error::other)?;
    interrupted.await??;
    say("interrupted");
    let result = outcome(job.await);
    let report = pool.shutdown(Duration::MAX).await;
    Ok(format!("stopped {result}, {} killed", report.killed))
}

fn outcome<R: std::fmt::Debug>(outcome: Result<R, JobError>) -> String {
    let error = match outcome {
        Ok(result) => return format!("ok {result:?}"),
        Err(error) => error,
    };
    let kind = if error.is_broken_worker() {
        "broken"
    } else if error.is_panic() {
        "panicked"
    } else if error.is_initializer() {
        "no worker"
    } else {
        "failed"
    };
    format!("{kind} {error}")
}
