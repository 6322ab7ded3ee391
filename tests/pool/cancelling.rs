//! Cancelled jobs and time limits.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::pool::{JobError, JobHandle, Pool, job};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::folder::Folder;
use futures_lite::future::poll_once;

use crate::meeting::{Meeting, wait_at};

#[coreloop::job]
fn wait(place: String, text: String) -> String {
    wait_at(&place, &text);
    text
}

#[coreloop::job]
fn until_cancelled(place: String) -> String {
    wait_at(&place, "");
    while !job::is_cancelled() {
        std::thread::yield_now();
    }
    "cancelled".to_owned()
}

#[coreloop::job]
fn for_ever(place: String) {
    wait_at(&place, "");
    loop {
        std::hint::spin_loop();
    }
}

#[coreloop::job]
fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

#[coreloop::job]
fn log(path: String, number: usize) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    // In one write, because another worker may write meanwhile.
    file.write_all(format!("{number}\n").as_bytes()).unwrap();
}

#[coreloop::job]
fn pid() -> u32 {
    std::process::id()
}

fn numbers(path: &str) -> Vec<usize> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[coreloop::test]
async fn a_job_that_is_cancelled_in_the_queue_never_runs() {
    let pool = Pool::builder().workers(1).prefetch(1).build().unwrap();
    let meeting = Meeting::new();
    let running = pool
        .submit(wait, (meeting.place(), "a".into()))
        .await
        .unwrap();
    let guest = meeting.guest().await;
    let aborted = pool
        .submit(wait, (meeting.place(), "b".into()))
        .await
        .unwrap();
    aborted.abort();
    assert_eq!((aborted.is_finished(), aborted.is_started()), (true, false));
    // Again: nothing is left to cancel.
    aborted.abort();
    let error = aborted.await.unwrap_err();
    assert!(error.is_cancelled() && !error.has_started());
    assert_eq!((error.attempts(), error.worker_pid()), (0, None));
    assert!(
        error
            .to_string()
            .ends_with("cancelling::wait` was cancelled"),
        "{error}"
    );
    let cancelled = pool
        .submit(wait, (meeting.place(), "c".into()))
        .await
        .unwrap();
    let error = cancelled.cancel().await.unwrap_err();
    assert!(error.is_cancelled() && !error.has_started());
    // The future of `run` cancels its job when it is dropped.
    assert!(
        poll_once(pool.run(wait, (meeting.place(), "d".into())))
            .await
            .is_none()
    );
    let metrics = pool.metrics();
    assert_eq!((metrics.queued, metrics.running, metrics.failed), (0, 1, 3));
    guest.release();
    assert_eq!(running.await.unwrap(), "a");
    assert!(poll_once(meeting.guest()).await.is_none());
    assert_eq!((pool.metrics().done, pool.metrics().killed), (1, 0));
}

#[coreloop::test]
async fn a_job_that_runs_is_asked_to_stop_and_its_result_is_dropped() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let meeting = Meeting::new();
    let handle = pool.submit(until_cancelled, meeting.place()).await.unwrap();
    let guest = meeting.guest().await;
    let worker = guest.pid;
    handle.abort();
    let error = handle.await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started());
    assert_eq!((error.attempts(), error.worker_pid()), (1, Some(worker)));
    guest.release();
    assert_eq!(pool.run(pid, ()).await.unwrap(), worker);
    let metrics = pool.metrics();
    assert_eq!((metrics.done, metrics.failed, metrics.killed), (1, 1, 0));
}

#[coreloop::test]
async fn cancelling_a_job_that_runs_returns_its_result_if_it_has_one() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let meeting = Meeting::new();
    let handle = pool.submit(until_cancelled, meeting.place()).await.unwrap();
    meeting.guest().await.release();
    assert_eq!(handle.cancel().await.unwrap(), "cancelled");
    let handle = pool.submit(pid, ()).await.unwrap();
    yield_until(|| handle.is_finished()).await;
    handle.abort();
    handle.cancel().await.unwrap();
    assert_eq!((pool.metrics().done, pool.metrics().failed), (2, 0));
}

#[coreloop::test]
async fn a_worker_is_killed_for_a_cancelled_job_if_the_pool_says_so() {
    let pool = Pool::builder()
        .workers(1)
        .kill_on_cancel(true)
        .build()
        .unwrap();
    let meeting = Meeting::new();
    let handle = pool.submit(for_ever, meeting.place()).await.unwrap();
    let neighbour = pool.submit(pid, ()).await.unwrap();
    let guest = meeting.guest().await;
    let worker = guest.pid;
    guest.release();
    handle.abort();
    let error = handle.await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started());
    // The job behind it runs elsewhere, and this is its first attempt.
    assert_ne!(neighbour.await.unwrap(), worker);
    let handle = pool.submit(for_ever, meeting.place()).await.unwrap();
    meeting.guest().await.release();
    let error = handle.cancel().await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started());
    assert!(error.exit_status().is_some());
    let metrics = pool.metrics();
    assert_eq!((metrics.killed, metrics.failed, metrics.done), (2, 2, 1));
}

/// Returns the error of a job that reached its time limit while it ran.
async fn timed_out_while_it_ran(run: impl AsyncFn(Duration) -> Result<(), JobError>) -> JobError {
    let mut limit = Duration::from_millis(100);
    loop {
        let error = run(limit).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        if error.has_started() {
            return error;
        }
        // The machine is slow.
        limit *= 2;
    }
}

#[coreloop::test]
async fn a_time_limit_ends_a_job_that_waits() {
    let pool = Pool::builder().workers(1).prefetch(1).build().unwrap();
    let meeting = Meeting::new();
    let running = pool
        .submit(wait, (meeting.place(), "a".into()))
        .await
        .unwrap();
    let guest = meeting.guest().await;
    for limit in [Duration::ZERO, Duration::from_millis(20)] {
        let error = pool.job(pid, ()).timeout(limit).run().await.unwrap_err();
        assert!(error.is_timeout() && !error.has_started());
        let text = error.to_string();
        assert!(text.contains("took longer than its time limit"), "{text}");
    }
    guest.release();
    running.await.unwrap();
    // A limit that is not reached, and one that never is.
    for limit in [Duration::from_secs(3_600), Duration::MAX] {
        pool.job(pid, ()).timeout(limit).run().await.unwrap();
    }
    assert_eq!((pool.metrics().failed, pool.metrics().done), (2, 3));
}

#[coreloop::test]
async fn a_time_limit_kills_the_worker_of_a_job_that_runs() {
    let pool = Pool::builder()
        .workers(1)
        .kill_on_cancel(true)
        .build()
        .unwrap();
    pool.ready().await.unwrap();
    let error = timed_out_while_it_ran(async |limit| {
        let request = pool.job(spin, ()).timeout(limit);
        request.submit().await.unwrap().await
    })
    .await;
    assert_eq!(error.attempts(), 1);
    assert_eq!(pool.metrics().killed, 1);
    // `run` drops its handle afterwards, which kills no other worker.
    timed_out_while_it_ran(async |limit| pool.job(spin, ()).timeout(limit).run().await).await;
    assert_eq!(pool.metrics().killed, 2);
    pool.run(pid, ()).await.unwrap();
    assert_eq!(pool.metrics().workers.len(), 1);
}

#[coreloop::test]
async fn time_limits_end_in_their_order() {
    let pool = Pool::builder().workers(1).prefetch(1).build().unwrap();
    let meeting = Meeting::new();
    let running = pool
        .submit(wait, (meeting.place(), "a".into()))
        .await
        .unwrap();
    let guest = meeting.guest().await;
    let limited = |limit| {
        let request = pool.job(pid, ()).timeout(Duration::from_millis(limit));
        request.try_submit().unwrap()
    };
    let late = limited(60_000);
    let early = limited(40);
    let earliest = limited(5);
    assert!(earliest.await.unwrap_err().is_timeout());
    assert!(early.await.unwrap_err().is_timeout());
    assert!(!late.is_finished());
    guest.release();
    running.await.unwrap();
    late.await.unwrap();
}

#[test]
fn a_job_is_cancelled_outside_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (pool, meeting, handle, worker) = runtime.block_on(async {
        let pool = Pool::builder()
            .workers(1)
            .kill_on_cancel(true)
            .build()
            .unwrap();
        let meeting = Meeting::new();
        let handle = pool.submit(for_ever, meeting.place()).await.unwrap();
        let guest = meeting.guest().await;
        let worker = guest.pid;
        (pool, meeting, handle, worker)
    });
    handle.abort();
    runtime.block_on(async {
        assert!(handle.await.unwrap_err().is_cancelled());
        assert_ne!(pool.run(pid, ()).await.unwrap(), worker);
    });
    drop((pool, meeting));
}

/// Cancels one of 64 jobs that wait behind a running one, at each position.
async fn cancel_each(prefetch: usize) {
    let folder = Folder::new();
    let path = folder.path("log").to_str().unwrap().to_owned();
    let pool = Pool::builder()
        .workers(1)
        .prefetch(prefetch)
        .build()
        .unwrap();
    let meeting = Meeting::new();
    for position in 0..64 {
        let _ = std::fs::remove_file(&path);
        let running = pool
            .submit(wait, (meeting.place(), String::new()))
            .await
            .unwrap();
        let guest = meeting.guest().await;
        let mut handles: Vec<Option<JobHandle<()>>> = Vec::new();
        for number in 0..64 {
            let handle = pool.submit(log, (path.clone(), number)).await.unwrap();
            handles.push(Some(handle));
        }
        // The worker's task sends what fits.
        coreloop::task::yield_now().await;
        let cancelled = handles[position].take().unwrap();
        cancelled.abort();
        let error = cancelled.await.unwrap_err();
        assert!(error.is_cancelled() && !error.has_started());
        guest.release();
        running.await.unwrap();
        for handle in handles.into_iter().flatten() {
            handle.await.unwrap();
        }
        let expected: Vec<usize> = (0..64).filter(|&number| number != position).collect();
        assert_eq!(numbers(&path), expected);
    }
}

#[coreloop::test]
async fn a_job_is_cancelled_at_each_position_of_the_queue() {
    cancel_each(1).await;
}

#[coreloop::test]
async fn a_job_is_cancelled_at_each_position_of_a_workers_socket() {
    cancel_each(64).await;
}

#[coreloop::test]
async fn a_job_that_is_cancelled_while_it_starts_has_run_or_never_runs() {
    let folder = Folder::new();
    let path = folder.path("log").to_str().unwrap().to_owned();
    let pool = Pool::builder().workers(2).prefetch(8).build().unwrap();
    let (mut started, mut never) = (Vec::new(), Vec::new());
    for round in 0..500 {
        let mut handles = Vec::new();
        for number in round * 4..round * 4 + 4 {
            handles.push((
                number,
                pool.submit(log, (path.clone(), number)).await.unwrap(),
            ));
        }
        for _ in 0..round % 5 {
            coreloop::task::yield_now().await;
        }
        for (number, handle) in handles.into_iter().rev() {
            handle.abort();
            match handle.await {
                Err(error) if error.is_cancelled() && !error.has_started() => never.push(number),
                Err(error) if error.is_cancelled() => started.push(number),
                Err(error) => panic!("{error}"),
                Ok(()) => started.push(number),
            }
        }
    }
    pool.close();
    pool.join().await;
    let mut ran = numbers(&path);
    ran.sort_unstable();
    started.sort_unstable();
    assert_eq!(ran, started);
    assert_eq!(ran.len() + never.len(), 2_000);
}

#[coreloop::test]
async fn slots_are_used_again_while_cancelled_frames_are_still_unread() {
    let folder = Folder::new();
    let path = folder.path("log").to_str().unwrap().to_owned();
    let pool = Pool::builder().workers(1).prefetch(2).build().unwrap();
    let meeting = Meeting::new();
    let running = pool
        .submit(wait, (meeting.place(), String::new()))
        .await
        .unwrap();
    let guest = meeting.guest().await;
    // The one other slot is used for each of them in turn.
    for number in 0..200 {
        let handle = pool.submit(log, (path.clone(), number)).await.unwrap();
        yield_until(|| handle.worker().is_some()).await;
        handle.abort();
        assert!(!handle.await.unwrap_err().has_started());
    }
    let last = pool.submit(log, (path.clone(), 200)).await.unwrap();
    guest.release();
    running.await.unwrap();
    last.await.unwrap();
    assert_eq!(numbers(&path), [200]);
}

#[coreloop::test]
async fn jobs_behind_a_long_one_are_taken_back_for_an_idle_worker() {
    let pool = Pool::builder().workers(2).prefetch(32).build().unwrap();
    let meeting = Meeting::new();
    // Both workers are busy, and jobs wait in the sockets of both.
    let long = pool
        .submit(wait, (meeting.place(), "long".into()))
        .await
        .unwrap();
    let short = pool
        .submit(wait, (meeting.place(), "short".into()))
        .await
        .unwrap();
    let guests = [meeting.guest().await, meeting.guest().await];
    let mut handles = Vec::new();
    for _ in 0..60 {
        handles.push(pool.submit(pid, ()).await.unwrap());
    }
    let [one, other] = guests;
    let (long_guest, short_guest) = match one.text.as_str() {
        "long" => (one, other),
        _ => (other, one),
    };
    let worker = short_guest.pid;
    short_guest.release();
    // They all finish while the long job runs.
    for handle in handles {
        assert_eq!(handle.await.unwrap(), worker);
    }
    assert!(!long.is_finished());
    long_guest.release();
    long.await.unwrap();
    short.await.unwrap();
}
