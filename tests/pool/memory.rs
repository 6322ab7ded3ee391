//! Workers that have more memory than the pool allows.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::Mutex;

use coreloop::pool::{Pool, WorkerState};
use coreloop::process::Restarts;
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::meeting::{Meeting, Visit, soon};

/// What the worker keeps between its jobs.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

const MIB: usize = 1 << 20;

/// More than a worker of this binary has at its start, and much less than the machine has.
const LIMIT: usize = 64 * MIB;

/// Keeps this number of bytes, and returns the process.
#[coreloop::job]
fn keep(bytes: usize) -> u32 {
    KEPT.lock().unwrap().push(vec![1; bytes]);
    std::process::id()
}

/// Keeps this number of bytes while it meets the test.
#[coreloop::job]
fn keep_while_it_runs(bytes: usize, path: PathBuf) {
    // Before it takes the memory, for which it may be killed at once.
    let mut visit = Visit::new(&path, "large").unwrap();
    let kept = vec![1_u8; bytes];
    visit.wait();
    drop(kept);
}

#[coreloop::job]
fn process() -> u32 {
    std::process::id()
}

fn pool() -> Pool {
    let pool = Pool::builder().workers(1).max_memory(LIMIT as u64);
    pool.build().unwrap()
}

#[coreloop::test]
async fn a_worker_that_keeps_too_much_memory_after_a_job_is_replaced() {
    let pool = pool();
    let first = soon(pool.run(keep, MIB)).await.unwrap();
    assert_eq!(soon(pool.run(process, ())).await.unwrap(), first);
    // Its result comes all the same.
    assert_eq!(soon(pool.run(keep, LIMIT + 8 * MIB)).await.unwrap(), first);
    assert_ne!(soon(pool.run(process, ())).await.unwrap(), first);
    assert_eq!(pool.metrics().failed, 0);
}

/// It has less than twice the limit, and gives the memory back before it ends.
#[coreloop::test]
async fn a_job_may_have_more_memory_while_it_runs() {
    let (pool, at) = (pool(), Meeting::new());
    let first = soon(pool.run(process, ())).await.unwrap();
    let job = pool.submit(keep_while_it_runs, (LIMIT, at.path()));
    let job = job.await.unwrap();
    at.arrival().await.release().await;
    soon(job).await.unwrap();
    assert_eq!(soon(pool.run(process, ())).await.unwrap(), first);
}

#[coreloop::test]
async fn a_job_that_takes_twice_the_memory_is_killed() {
    let (pool, at) = (pool(), Meeting::new());
    let job = pool.submit(keep_while_it_runs, (3 * LIMIT, at.path()));
    let job = job.await.unwrap();
    let arrived = at.arrival().await;
    let error = soon(job).await.unwrap_err();
    assert!(error.is_broken_worker() && error.has_started(), "{error}");
    assert!(error.to_string().contains("twice the memory"), "{error}");
    arrived.end().await;
    soon(pool.run(process, ())).await.unwrap();
    yield_until(|| {
        let workers = pool.metrics().workers;
        workers.len() == 1 && workers[0].state == WorkerState::Idle
    })
    .await;
}

/// Keeps this number of bytes, and never returns.
#[coreloop::job]
fn keep_and_wait(bytes: usize) {
    let kept = vec![1_u8; bytes];
    loop {
        std::thread::park();
        std::hint::black_box(&kept);
    }
}

/// Each worker is killed before it is ready. That has to end.
#[coreloop::test]
async fn an_initializer_that_takes_too_much_memory_fails_the_pool() {
    let restarts = Restarts::new().max_failed_starts(2);
    let pool = Pool::builder()
        .workers(1)
        .max_memory(LIMIT as u64)
        .initializer(keep_and_wait, 3 * LIMIT)
        .restarts(restarts)
        .build()
        .unwrap();
    let error = soon(pool.run(process, ())).await.unwrap_err();
    assert!(error.is_initializer(), "{error}");
    assert!(error.to_string().contains("memory"), "{error}");
}
