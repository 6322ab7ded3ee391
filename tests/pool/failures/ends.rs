//! The end of a pool, and of its runtime.

use std::path::Path;
use std::time::Duration;

use coreloop::pool::Pool;
use coreloop::task::spawn;
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::meeting::{Meeting, soon};
use coreloop_test_support::process::master::await_end;
use rustix::process::{Signal, kill_process};

use super::{busy, one_worker, process, ready, sent};

#[coreloop::test]
async fn a_pool_that_is_closed_runs_what_it_has_and_accepts_no_more() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(process, ()).await.unwrap();
    pool.close();
    let refused = soon(pool.submit(process, ())).await.unwrap_err();
    assert!(
        refused.is_shut_down() && !refused.has_started(),
        "{refused}"
    );
    first.release().await;
    soon(running).await.unwrap();
    soon(queued).await.unwrap();
    soon(pool.join()).await;
    assert!(pool.metrics().workers.is_empty());
}

/// A worker that dies while the pool is closing is replaced, because jobs wait for it.
#[coreloop::test]
async fn a_pool_that_is_closed_replaces_a_worker_that_dies() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(process, ()).await.unwrap();
    pool.close();
    kill_process(first.pid, Signal::KILL).unwrap();
    assert!(soon(running).await.unwrap_err().is_broken_worker());
    soon(queued).await.unwrap();
    soon(pool.join()).await;
}

#[coreloop::test]
async fn a_shutdown_kills_what_still_runs_and_fails_what_waits() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(pool.submit(process, ()).await.unwrap());
    }
    let report = soon(pool.shutdown(Duration::from_millis(10))).await;
    assert_eq!((report.done, report.dropped, report.killed), (0, 20, 1));
    let error = soon(running).await.unwrap_err();
    assert!(error.is_shut_down() && error.has_started(), "{error}");
    for job in queued {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_shut_down() && !error.has_started(), "{error}");
    }
    // It was reaped too.
    assert!(!Path::new(&format!("/proc/{}", first.pid)).exists());
    first.end().await;
}

#[coreloop::test]
async fn a_shutdown_waits_for_jobs_while_there_is_time() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(process, ()).await.unwrap();
    let shutdown = spawn({
        let pool = pool.clone();
        async move { pool.shutdown(Duration::MAX).await }
    });
    yield_until(|| pool.is_closed()).await;
    first.release().await;
    let report = soon(shutdown).await.unwrap();
    assert_eq!((report.done, report.dropped, report.killed), (2, 0, 0));
    soon(running).await.unwrap();
    soon(queued).await.unwrap();
}

#[coreloop::test]
async fn a_dropped_pool_fails_its_jobs_and_ends_its_workers() {
    let pool = Pool::builder().workers(2).prefetch(8).build().unwrap();
    let at = Meeting::new();
    soon(ready(&pool, 2)).await;
    let workers: Vec<u32> = pool
        .metrics()
        .workers
        .iter()
        .map(|worker| worker.pid)
        .collect();
    let mut running = Vec::new();
    let mut arrived = Vec::new();
    for _ in 0..2 {
        let (job, arrival) = busy(&pool, &at).await;
        running.push(job);
        arrived.push(arrival);
    }
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(pool.submit(process, ()).await.unwrap());
    }
    drop(pool);
    for job in running {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_shut_down() && error.has_started(), "{error}");
    }
    for job in queued {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_shut_down() && !error.has_started(), "{error}");
    }
    for arrival in arrived {
        arrival.end().await;
    }
    for worker in workers {
        let entry = format!("/proc/{worker}");
        yield_until(|| !Path::new(&entry).exists()).await;
    }
}

#[test]
fn the_end_of_a_runtime_ends_the_workers_and_the_jobs() {
    let (handle, queued, worker) = coreloop::block_on(async {
        let (pool, at) = (one_worker(), Meeting::new());
        let (running, first) = busy(&pool, &at).await;
        let queued = pool.submit(process, ()).await.unwrap();
        sent(&pool, 1).await;
        let worker = first.pid;
        // Neither is dropped before the runtime.
        std::mem::forget((pool, at, first));
        (running, queued, worker)
    });
    await_end(worker);
    let outcome = coreloop::block_on(soon(handle));
    let error = outcome.unwrap_err();
    assert!(error.is_shut_down(), "{error}");
    assert!(coreloop::block_on(soon(queued)).unwrap_err().is_shut_down());
}
