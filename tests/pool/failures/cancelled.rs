//! Jobs whose future or handle was dropped, that were aborted, or that have reached their time
//! limit.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use coreloop::pool::{Pool, job};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{Meeting, Visit, soon};
use coreloop_test_support::process::proc::is_running;
use coreloop_test_support::stop::stop;
use futures_lite::future::poll_once;

use super::{add_line, busy, meeting, one_worker, pid, process, ready, sent};

/// Meets the test, then says `c` when it is asked to stop.
#[coreloop::job]
fn until_cancelled(path: PathBuf) {
    let mut visit = Visit::new(&path, "until cancelled").unwrap();
    while !job::is_cancelled() {
        std::thread::yield_now();
    }
    visit.say(b'c');
    visit.wait();
}

#[coreloop::job]
fn for_ever(path: PathBuf) {
    let _visit = Visit::new(&path, "for ever");
    loop {
        std::hint::spin_loop();
    }
}

fn pids(pool: &Pool) -> Vec<u32> {
    let metrics = pool.metrics();
    metrics.workers.iter().map(|worker| worker.pid).collect()
}

#[coreloop::test]
async fn jobs_whose_handles_are_dropped_run() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(meeting, (at.path(), "second".to_owned()));
    drop((running, queued.await.unwrap()));
    first.release().await;
    let second = at.arrival().await;
    assert_eq!(second.name, "second");
    second.release().await;
    pool.close();
    soon(pool.join()).await;
    assert_eq!(pool.metrics().done, 2);
}

#[coreloop::test]
async fn a_queued_job_whose_run_is_dropped_never_runs() {
    let (pool, at, folder) = (one_worker(), Meeting::new(), Folder::new());
    let (running, first) = busy(&pool, &at).await;
    let file = folder.path("ran");
    {
        let mut run = pin!(pool.run(add_line, file.clone()));
        assert!(poll_once(run.as_mut()).await.is_none());
        sent(&pool, 1).await;
    }
    first.release().await;
    soon(running).await.unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_running_job_whose_run_is_dropped_is_asked_to_stop() {
    let (pool, at) = (one_worker(), Meeting::new());
    let before = soon(pool.run(process, ())).await.unwrap();
    let mut run = Box::pin(pool.run(until_cancelled, at.path()));
    assert!(poll_once(run.as_mut()).await.is_none());
    let mut arrived = at.arrival().await;
    drop(run);
    assert_eq!(arrived.word().await, 'c');
    arrived.release().await;
    // The worker stays.
    assert_eq!(soon(pool.run(process, ())).await.unwrap(), before);
}

#[coreloop::test]
async fn a_running_job_whose_run_is_dropped_is_killed_if_the_pool_kills() {
    let pool = Pool::builder().workers(1).kill_on_cancel(true).build();
    let (pool, at) = (pool.unwrap(), Meeting::new());
    let mut run = Box::pin(pool.run(for_ever, at.path()));
    assert!(poll_once(run.as_mut()).await.is_none());
    let arrived = at.arrival().await;
    let killed = arrived.pid;
    drop(run);
    arrived.end().await;
    let next = soon(pool.run(process, ())).await.unwrap();
    assert_ne!(pid(next), killed);
    assert_eq!(pool.metrics().killed, 1);
}

#[coreloop::test]
async fn a_queued_job_that_is_aborted_never_runs() {
    let (pool, at, folder) = (one_worker(), Meeting::new(), Folder::new());
    let (running, first) = busy(&pool, &at).await;
    let file = folder.path("ran");
    let queued = pool.submit(add_line, file.clone()).await.unwrap();
    sent(&pool, 1).await;
    queued.abort();
    let error = soon(queued).await.unwrap_err();
    assert!(error.is_cancelled() && !error.has_started(), "{error}");
    assert_eq!((error.attempts(), error.worker_pid()), (0, None));
    first.release().await;
    soon(running).await.unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_running_job_that_is_aborted_is_asked_to_stop_and_its_result_is_dropped() {
    let (pool, at) = (one_worker(), Meeting::new());
    let running = pool.submit(until_cancelled, at.path()).await.unwrap();
    let mut arrived = at.arrival().await;
    running.abort();
    // The job still runs.
    let error = soon(running).await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started(), "{error}");
    assert_eq!(error.worker_pid().map(pid), Some(arrived.pid));
    assert_eq!(arrived.word().await, 'c');
    let worker = arrived.pid;
    arrived.release().await;
    assert_eq!(pid(soon(pool.run(process, ())).await.unwrap()), worker);
}

/// The other jobs of the worker run in the one that replaces it, without an attempt counted.
#[coreloop::test]
async fn an_aborted_job_is_killed_alone_if_the_pool_kills() {
    let pool = Pool::builder().workers(1).prefetch(8).kill_on_cancel(true);
    let (pool, at) = (pool.build().unwrap(), Meeting::new());
    let running = pool.submit(for_ever, at.path()).await.unwrap();
    let arrived = at.arrival().await;
    let mut others = Vec::new();
    for number in 0..7 {
        let other = pool.submit(meeting, (at.path(), number.to_string()));
        others.push(other.await.unwrap());
    }
    sent(&pool, 7).await;
    running.abort();
    let killed = arrived.pid;
    arrived.end().await;
    let error = soon(running).await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started(), "{error}");
    for (number, other) in others.into_iter().enumerate() {
        let arrived = at.arrival().await;
        assert_eq!((&*arrived.name, arrived.attempt), (&*number.to_string(), 1));
        assert_ne!(arrived.pid, killed);
        arrived.release().await;
        assert_eq!(soon(other).await.unwrap().1, 1);
    }
}

#[coreloop::test]
async fn a_job_whose_time_has_passed_in_the_queue_never_runs() {
    let (pool, at, folder) = (one_worker(), Meeting::new(), Folder::new());
    let (running, first) = busy(&pool, &at).await;
    let file = folder.path("ran");
    let job = pool.job(add_line, file.clone());
    let error = soon(job.timeout(Duration::from_millis(1)).run()).await;
    let error = error.unwrap_err();
    assert!(error.is_timeout() && !error.has_started(), "{error}");
    first.release().await;
    soon(running).await.unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_job_whose_time_has_passed_while_it_runs_is_asked_to_stop() {
    let (pool, at) = (one_worker(), Meeting::new());
    soon(pool.ready()).await.unwrap();
    let job = pool.job(until_cancelled, at.path());
    let handle = job.timeout(Duration::from_millis(200)).submit().await;
    let handle = handle.unwrap();
    let mut arrived = at.arrival().await;
    let error = soon(handle).await.unwrap_err();
    assert!(error.is_timeout() && error.has_started(), "{error}");
    assert_eq!(arrived.word().await, 'c');
    let worker = arrived.pid;
    arrived.release().await;
    assert_eq!(pid(soon(pool.run(process, ())).await.unwrap()), worker);
}

/// The pool has its number of workers again afterwards.
#[coreloop::test]
async fn an_endless_loop_is_killed_when_its_time_has_passed_if_the_pool_kills() {
    let pool = Pool::builder().workers(2).kill_on_cancel(true).build();
    let (pool, at) = (pool.unwrap(), Meeting::new());
    ready(&pool, 2).await;
    let job = pool.job(for_ever, at.path());
    let handle = job.timeout(Duration::from_millis(200)).submit().await;
    let arrived = at.arrival().await;
    let killed = arrived.pid;
    let error = soon(handle.unwrap()).await.unwrap_err();
    assert!(error.is_timeout() && error.has_started(), "{error}");
    arrived.end().await;
    soon(ready(&pool, 2)).await;
    assert_eq!(error.worker_pid().map(pid), Some(killed));
    yield_until(|| !pids(&pool).contains(&error.worker_pid().unwrap())).await;
    assert!(!is_running(killed));
}

/// A stopped process is no dead one, so only the time limit ends its job.
#[coreloop::test]
async fn a_stopped_worker_is_killed_when_the_time_of_its_job_has_passed() {
    let pool = Pool::builder().workers(1).kill_on_cancel(true).build();
    let (pool, at) = (pool.unwrap(), Meeting::new());
    soon(pool.ready()).await.unwrap();
    let job = pool.job(meeting, (at.path(), "stopped".to_owned()));
    let handle = job.timeout(Duration::from_millis(200)).submit().await;
    let arrived = at.arrival().await;
    stop(arrived.pid);
    let error = soon(handle.unwrap()).await.unwrap_err();
    assert!(error.is_timeout() && error.has_started(), "{error}");
    arrived.end().await;
    soon(pool.run(process, ())).await.unwrap();
}
