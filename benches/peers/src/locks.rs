//! Locks: nanoseconds per use, uncontended and contended.
//!
//! All libraries run on coreloop's executor, so that only the libraries differ. tokio's
//! locks also run on tokio, because their users would otherwise use both.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::child::limit_time;
use crate::locking::{
    Mutex, Semaphore, Signal, acquire_and_release, contend, lock_and_unlock, ping_pong,
};
use crate::report::{self, Place};
use crate::samples::Samples;

/// The number of tasks that contend for one mutex.
const TASKS: u64 = 8;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How often each lock is used in one turn.
    #[arg(long, default_value_t = 200_000)]
    times: u64,
    /// How many turns each library gets.
    #[arg(long, default_value_t = 25)]
    turns: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            times: 200_000,
            turns: 25,
        }
    }
}

/// Uses a lock a number of times.
type Work = Box<dyn Fn(u64) -> Duration>;

/// A row of the table of bounds.
struct Contest {
    title: &'static str,
    /// The bound, in times the best peer's.
    bound: f64,
    /// The contestants, coreloop first.
    contestants: Vec<(&'static str, Work)>,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(300);
    for contest in contests()? {
        println!(
            "\n{}, ns each, {} turns of {}",
            contest.title, options.turns, options.times
        );
        let mut samples = vec![Samples::default(); contest.contestants.len()];
        for _ in 0..options.turns {
            for ((_, work), samples) in contest.contestants.iter().zip(&mut samples) {
                let time = work(options.times);
                samples.push(time.as_secs_f64() * 1e9 / options.times as f64);
            }
        }
        let names = contest.contestants.iter().map(|(name, _)| *name);
        let table: Vec<_> = names.zip(samples).collect();
        let place = Place {
            part: "locks",
            case: contest.title,
        };
        report::minima(place, "ns", &table);
        let peers: Vec<_> = table.iter().skip(1).map(|(name, _)| *name).collect();
        report::against(contest.title, &table, &peers, contest.bound);
        for peer in peers.iter().filter(|peer| peer.starts_with("tokio")) {
            let title = format!("{}, {peer}", contest.title);
            report::against(&title, &table, &[peer], contest.bound);
        }
    }
    Ok(())
}

fn contests() -> io::Result<Vec<Contest>> {
    Ok(vec![
        Contest {
            title: "Mutex, uncontended",
            bound: 0.35,
            contestants: vec![
                (
                    "coreloop",
                    here(lock_and_unlock::<coreloop::sync::Mutex<u64>>)?,
                ),
                ("tokio", here(lock_and_unlock::<tokio::sync::Mutex<u64>>)?),
                (
                    "tokio on tokio",
                    there(lock_and_unlock::<tokio::sync::Mutex<u64>>)?,
                ),
                (
                    "async-lock",
                    here(lock_and_unlock::<async_lock::Mutex<u64>>)?,
                ),
            ],
        },
        Contest {
            title: "Semaphore, uncontended",
            bound: 0.3,
            contestants: vec![
                (
                    "coreloop",
                    here(acquire_and_release::<coreloop::sync::Semaphore>)?,
                ),
                (
                    "tokio",
                    here(acquire_and_release::<tokio::sync::Semaphore>)?,
                ),
                (
                    "tokio on tokio",
                    there(acquire_and_release::<tokio::sync::Semaphore>)?,
                ),
                (
                    "async-lock",
                    here(acquire_and_release::<async_lock::Semaphore>)?,
                ),
                (
                    "local-sync",
                    here(acquire_and_release::<local_sync::semaphore::Semaphore>)?,
                ),
                (
                    "async-unsync",
                    here(acquire_and_release::<async_unsync::semaphore::Semaphore>)?,
                ),
            ],
        },
        Contest {
            title: "Mutex, contended by 8 tasks whose holder yields",
            bound: 0.4,
            contestants: vec![
                (
                    "coreloop",
                    here(contended_here::<coreloop::sync::Mutex<u64>>)?,
                ),
                ("tokio", here(contended_here::<tokio::sync::Mutex<u64>>)?),
                (
                    "tokio on tokio",
                    there(contended_there::<tokio::sync::Mutex<u64>>)?,
                ),
                (
                    "async-lock",
                    here(contended_here::<async_lock::Mutex<u64>>)?,
                ),
            ],
        },
        Contest {
            title: "Notify, ping-pong of two tasks",
            bound: 0.5,
            contestants: vec![
                ("coreloop", here(rounds_here::<coreloop::sync::Notify>)?),
                ("tokio", here(rounds_here::<tokio::sync::Notify>)?),
                (
                    "tokio on tokio",
                    there(rounds_there::<tokio::sync::Notify>)?,
                ),
            ],
        },
    ])
}

/// Runs the work on coreloop's executor.
fn here<F: Future<Output = Duration>>(work: impl Fn(u64) -> F + 'static) -> io::Result<Work> {
    let runtime = coreloop::Runtime::new()?;
    Ok(Box::new(move |times| runtime.block_on(work(times))))
}

/// Runs the work on tokio's executor.
fn there<F: Future<Output = Duration>>(work: impl Fn(u64) -> F + 'static) -> io::Result<Work> {
    let runtime = tokio::runtime::LocalRuntime::new()?;
    Ok(Box::new(move |times| runtime.block_on(work(times))))
}

async fn contended_here<M: Mutex>(times: u64) -> Duration {
    contend::<M, _>(TASKS, times / TASKS, |task| coreloop::spawn(task)).await
}

async fn contended_there<M: Mutex>(times: u64) -> Duration {
    contend::<M, _>(TASKS, times / TASKS, |task| tokio::task::spawn_local(task)).await
}

async fn rounds_here<S: Signal>(times: u64) -> Duration {
    ping_pong::<S, _>(times, |task| coreloop::spawn(task)).await
}

async fn rounds_there<S: Signal>(times: u64) -> Duration {
    ping_pong::<S, _>(times, |task| tokio::task::spawn_local(task)).await
}

impl Mutex for async_lock::Mutex<u64> {
    async fn count(&self, pause: impl Future<Output = ()>) {
        let mut guard = self.lock().await;
        *guard += 1;
        pause.await;
    }
}

impl Semaphore for async_lock::Semaphore {
    fn with_permits(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire_and_release(&self) {
        let permit = self.acquire().await;
        drop(std::hint::black_box(permit));
    }
}

impl Semaphore for local_sync::semaphore::Semaphore {
    fn with_permits(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire_and_release(&self) {
        let permit = self.acquire().await;
        drop(std::hint::black_box(permit));
    }
}

impl Semaphore for async_unsync::semaphore::Semaphore {
    fn with_permits(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire_and_release(&self) {
        let permit = self.acquire().await;
        drop(std::hint::black_box(permit));
    }
}
