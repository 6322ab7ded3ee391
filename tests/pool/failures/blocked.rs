//! Workers whose master does not read their results, because its loop is blocked.

use std::fs;

use coreloop::pool::Pool;
use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{Meeting, lines, soon};
use rustix::process::{Pid, Signal, kill_process};

use super::sent;
use super::{add_line, assert_broken, busy, bytes, meeting, one_worker, pid};

/// Returns whether a thread of a process waits for room in a socket. The worker of a test is
/// not the main thread of its process.
fn waits_for_room(process: Pid) -> bool {
    let mut threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.any(|thread| {
        let place = fs::read_to_string(thread.unwrap().path().join("wchan"));
        place.is_ok_and(|place| place.starts_with("sock_alloc"))
    })
}

/// The master cannot read the results of short jobs while its loop is blocked. The worker
/// finishes all that it has, and the results wait in the socket.
#[coreloop::test]
async fn a_worker_runs_its_jobs_while_the_loop_is_blocked() {
    let folder = Folder::new();
    let file = folder.path("lines");
    let pool = Pool::builder().workers(1).prefetch(64).build().unwrap();
    let at = Meeting::new();
    let (running, first) = busy(&pool, &at).await;
    let mut jobs = Vec::new();
    for _ in 0..63 {
        jobs.push(pool.submit(add_line, file.clone()).await.unwrap());
    }
    sent(&pool, 63).await;
    first.release().await;
    // This blocks the loop.
    wait_until(|| lines(&file).len() == 63);
    soon(running).await.unwrap();
    for job in jobs {
        soon(job).await.unwrap();
    }
}

/// What a worker had written of a result is no result. The jobs behind it run elsewhere.
#[coreloop::test]
async fn a_worker_that_is_killed_while_it_writes_a_result_has_no_result() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let large = pool.submit(bytes, 4 << 20).await.unwrap();
    let next = pool.submit(meeting, (at.path(), "next".to_owned()));
    let next = next.await.unwrap();
    sent(&pool, 2).await;
    let worker = first.pid;
    first.release().await;
    // This blocks the loop.
    wait_until(|| waits_for_room(worker));
    kill_process(worker, Signal::KILL).unwrap();
    assert_eq!(pid(soon(running).await.unwrap().0), worker);
    let error = soon(large).await.unwrap_err();
    assert_broken(&error, worker, 1, "failures::bytes");
    let arrived = at.arrival().await;
    assert_eq!(arrived.attempt, 1);
    arrived.release().await;
    soon(next).await.unwrap();
}

/// Results that do not fit into the socket make the worker wait, and nothing is lost.
#[coreloop::test]
async fn a_worker_waits_when_its_results_are_not_read() {
    let folder = Folder::new();
    let file = folder.path("lines");
    let pool = Pool::builder().workers(1).prefetch(64).build().unwrap();
    let at = Meeting::new();
    let (running, first) = busy(&pool, &at).await;
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        large.push(pool.submit(bytes, 1 << 20).await.unwrap());
        small.push(pool.submit(add_line, file.clone()).await.unwrap());
    }
    sent(&pool, 40).await;
    let worker = first.pid;
    first.release().await;
    // This blocks the loop.
    wait_until(|| waits_for_room(worker));
    assert!(lines(&file).len() < 20);
    soon(running).await.unwrap();
    for job in large {
        assert_eq!(soon(job).await.unwrap().len(), 1 << 20);
    }
    for job in small {
        soon(job).await.unwrap();
    }
}
