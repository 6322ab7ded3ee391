//! The outcome of jobs that wait, of jobs that run and of workers, for each event that can end
//! them.
//!
//! | what happens | tests |
//! |---|---|
//! | a handle or a `run` is dropped, a job is aborted, its time passes | [`cancelled`] |
//! | the worker dies, the job panics or exits, its result cannot be sent | [`broken`] |
//! | the initializer fails, or the worker dies in it | [`starts`] |
//! | the pool is closed, shut down or dropped, the runtime ends | [`ends`] |
//! | the loop of the master is blocked | [`blocked`] |
//!
//! The end of the master is in [`programs`](super::programs).

mod blocked;
mod broken;
mod cancelled;
mod ends;
mod starts;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use coreloop::pool::{JobError, JobHandle, Pool, WorkerState, job};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::meeting::{Arrival, Meeting, meet};
use rustix::process::Pid;

/// Meets the test, and returns the process and the attempt.
#[coreloop::job]
fn meeting(path: PathBuf, name: String) -> (u32, u32) {
    meet(&path, &name);
    (std::process::id(), job::attempt().unwrap())
}

#[coreloop::job]
fn add_line(path: PathBuf) {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).unwrap();
    writeln!(file, "ran").unwrap();
}

#[coreloop::job]
fn process() -> u32 {
    std::process::id()
}

#[coreloop::job]
fn bytes(count: usize) -> Vec<u8> {
    vec![7; count]
}

/// A pool of one worker, of which one job runs and holds it, and what has met that job.
async fn busy(pool: &Pool, at: &Meeting) -> (JobHandle<(u32, u32)>, Arrival) {
    let running = pool.submit(meeting, (at.path(), "first".to_owned()));
    let running = running.await.unwrap();
    (running, at.arrival().await)
}

fn one_worker() -> Pool {
    Pool::builder().workers(1).prefetch(8).build().unwrap()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

/// Waits until `count` jobs have been written to the socket of a worker, and wait there.
async fn sent(pool: &Pool, count: usize) {
    yield_until(|| {
        let metrics = pool.metrics();
        metrics
            .workers
            .iter()
            .map(|worker| worker.queued)
            .sum::<usize>()
            == count
    })
    .await;
}

/// Waits until `count` workers are ready.
async fn ready(pool: &Pool, count: usize) {
    yield_until(|| {
        let metrics = pool.metrics();
        let ready = metrics
            .workers
            .iter()
            .filter(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy));
        ready.count() == count
    })
    .await;
}

fn assert_broken(error: &JobError, worker: Pid, attempts: u32, job: &str) {
    assert!(error.is_broken_worker() && error.has_started(), "{error}");
    assert_eq!(error.worker_pid().map(pid), Some(worker));
    assert_eq!(error.attempts(), attempts, "{error}");
    assert!(error.job_name().unwrap().ends_with(job), "{error}");
}
