//! The limits of messages, of the queue, and of the jobs of a worker.

use std::collections::BTreeSet;
use std::time::Duration;

use coreloop::pool::{Pool, TrySubmitError, job};
use coreloop::process::Restarts;
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::stop::stop;
use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};
use rustix::process::{Pid, Signal, kill_process};

use crate::meeting::{Meeting, wait_at};

#[coreloop::job]
fn length(bytes: String) -> usize {
    bytes.len()
}

#[coreloop::job]
fn text(length: usize) -> String {
    "x".repeat(length)
}

#[coreloop::job]
fn progress(length: usize) -> Option<String> {
    let sent = job::progress(&"x".repeat(length));
    sent.err()
        .map(|error| format!("{:?}: {error}", error.kind()))
}

#[coreloop::job]
fn wait(place: String, number: usize) -> usize {
    wait_at(&place, &number.to_string());
    number
}

#[coreloop::job]
fn pid() -> u32 {
    std::process::id()
}

#[coreloop::test]
async fn arguments_and_results_of_any_length_pass() {
    let pool = Pool::builder().workers(2).build().unwrap();
    for bytes in [0, 1, 8 << 10, 64 << 10, (64 << 10) + 1, 1 << 20, 16 << 20] {
        assert_eq!(pool.run(length, "x".repeat(bytes)).await.unwrap(), bytes);
        assert_eq!(pool.run(text, bytes).await.unwrap().len(), bytes);
    }
    // Both directions are full at the same time.
    let mut handles = Vec::new();
    for number in 0..40 {
        let bytes = (number % 4) << 20;
        handles.push((bytes, pool.submit(text, bytes).await.unwrap()));
        let sent = pool.submit(length, "y".repeat(bytes)).await.unwrap();
        if number % 2 == 0 {
            assert_eq!(sent.await.unwrap(), bytes);
        }
    }
    for (bytes, handle) in handles {
        assert_eq!(handle.await.unwrap().len(), bytes);
    }
}

#[coreloop::test]
async fn messages_are_limited() {
    for max in [16, 1_000, 100_000] {
        // The text and its length.
        let prefix = [1, 2, 3][[16, 1_000, 100_000]
            .iter()
            .position(|&at| at == max)
            .unwrap()];
        let most = max - prefix;
        let pool = Pool::builder().workers(1).max_message(max).build().unwrap();
        let worker = pool.run(pid, ()).await.unwrap();
        assert_eq!(pool.run(length, "x".repeat(most)).await.unwrap(), most);
        assert_eq!(pool.run(text, most).await.unwrap().len(), most);
        let error = pool.run(length, "x".repeat(most + 1)).await.unwrap_err();
        assert!(error.is_codec() && !error.has_started());
        let expected = format!(
            "the arguments have {} bytes, and the pool allows {max}",
            max + 1
        );
        assert!(error.to_string().contains(&expected), "{error}");
        let error = pool.run(text, most + 1).await.unwrap_err();
        assert!(error.is_codec() && error.has_started());
        let expected = format!(
            "the result has {} bytes, and the pool allows {max}",
            max + 1
        );
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(pool.run(progress, most).await.unwrap(), None);
        let refused = pool.run(progress, most + 1).await;
        if max > 100 {
            let refused = refused.unwrap().unwrap();
            assert!(
                refused.starts_with("InvalidInput: the progress has "),
                "{refused}"
            );
        } else {
            // The text of the error is too long a result.
            assert!(refused.unwrap_err().is_codec());
        }
        assert_eq!(pool.run(pid, ()).await.unwrap(), worker);
    }
}

#[coreloop::test]
async fn submit_waits_while_the_queue_is_full() {
    let pool = Pool::builder()
        .workers(1)
        .prefetch(1)
        .queue(2)
        .build()
        .unwrap();
    let meeting = Meeting::new();
    let running = pool.submit(wait, (meeting.place(), 0)).await.unwrap();
    let guest = meeting.guest().await;
    let first = pool.submit(wait, (meeting.place(), 1)).await.unwrap();
    let second = pool.submit(wait, (meeting.place(), 2)).await.unwrap();
    let full = pool
        .job(wait, (meeting.place(), 3))
        .try_submit()
        .unwrap_err();
    assert_eq!(full.to_string(), "the queue of the pool is full");
    let TrySubmitError::Full(request) = full else {
        panic!("{full}");
    };
    // A future that is dropped while it waits submits nothing, and takes no room.
    assert!(
        poll_once(pool.submit(wait, (meeting.place(), 9)))
            .await
            .is_none()
    );
    assert!(
        poll_once(pool.run(wait, (meeting.place(), 9)))
            .await
            .is_none()
    );
    assert_eq!((pool.metrics().queued, pool.metrics().running), (2, 1));
    // A job that is cancelled makes room.
    let submitted = zip(request.submit(), async {
        coreloop::task::yield_now().await;
        first.abort();
    });
    let third = submitted.await.0.unwrap();
    assert!(first.await.unwrap_err().is_cancelled());
    guest.release();
    assert_eq!(running.await.unwrap(), 0);
    for (number, handle) in [(2, second), (3, third)] {
        let guest = meeting.guest().await;
        assert_eq!(guest.text, number.to_string());
        guest.release();
        assert_eq!(handle.await.unwrap(), number);
    }
    assert_eq!(pool.metrics().done, 3);
}

#[coreloop::test]
async fn submit_stops_waiting_when_the_pool_is_closed() {
    let pool = Pool::builder()
        .workers(1)
        .prefetch(1)
        .queue(1)
        .build()
        .unwrap();
    let meeting = Meeting::new();
    let running = pool.submit(wait, (meeting.place(), 0)).await.unwrap();
    let guest = meeting.guest().await;
    let waiting = pool.submit(wait, (meeting.place(), 1)).await.unwrap();
    let (refused, ()) = zip(pool.submit(wait, (meeting.place(), 2)), async {
        coreloop::task::yield_now().await;
        pool.close();
    })
    .await;
    assert!(refused.unwrap_err().is_shut_down());
    let failed = pool
        .job(wait, (meeting.place(), 3))
        .try_submit()
        .unwrap_err();
    assert!(matches!(failed, TrySubmitError::Failed(error) if error.is_shut_down()));
    guest.release();
    meeting.guest().await.release();
    assert_eq!((running.await.unwrap(), waiting.await.unwrap()), (0, 1));
}

#[coreloop::test]
async fn a_worker_holds_no_more_jobs_than_the_prefetch() {
    for prefetch in [1, 2, 5, 64] {
        let pool = Pool::builder()
            .workers(1)
            .prefetch(prefetch)
            .build()
            .unwrap();
        let meeting = Meeting::new();
        let running = pool.submit(wait, (meeting.place(), 0)).await.unwrap();
        let guest = meeting.guest().await;
        let mut handles = Vec::new();
        for _ in 0..100 {
            handles.push(pool.submit(pid, ()).await.unwrap());
        }
        for _ in 0..10 {
            coreloop::task::yield_now().await;
        }
        // More are sent when half of them are back.
        let metrics = pool.metrics();
        assert!(metrics.workers[0].queued < prefetch, "{metrics:?}");
        assert_eq!(metrics.queued, 100);
        guest.release();
        running.await.unwrap();
        for handle in handles {
            handle.await.unwrap();
        }
    }
}

#[coreloop::test]
async fn a_worker_is_replaced_after_its_number_of_jobs() {
    for max_jobs in 1..=5 {
        for workers in 1..=3 {
            let pool = Pool::builder()
                .workers(workers)
                .max_jobs(max_jobs)
                .build()
                .unwrap();
            let inputs = std::iter::repeat_n((), 40);
            let pids: Vec<u32> = pool.map(pid, inputs).map(Result::unwrap).collect().await;
            let different: BTreeSet<u32> = pids.iter().copied().collect();
            for pid in &different {
                let jobs = pids.iter().filter(|&other| other == pid).count();
                assert!(jobs as u64 <= max_jobs, "{jobs} jobs of {max_jobs}");
            }
            assert!(different.len() as u64 >= 40_u64.div_ceil(max_jobs));
            let metrics = pool.metrics();
            assert_eq!((metrics.done, metrics.failed, metrics.killed), (40, 0, 0));
            pool.close();
            pool.join().await;
        }
    }
}

#[coreloop::test]
async fn the_replacement_of_a_worker_is_ready_before_its_last_job_ends() {
    let pool = Pool::builder().workers(1).max_jobs(1).build().unwrap();
    let meeting = Meeting::new();
    let running = pool.submit(wait, (meeting.place(), 0)).await.unwrap();
    let guest = meeting.guest().await;
    yield_until(|| pool.metrics().workers.len() == 2).await;
    let state = |index: usize| pool.metrics().workers[index].state;
    yield_until(|| state(1) == coreloop::pool::WorkerState::Idle).await;
    assert_eq!(state(0), coreloop::pool::WorkerState::Ending);
    let next = pool.submit(pid, ()).await.unwrap();
    let first = guest.pid;
    guest.release();
    running.await.unwrap();
    assert_ne!(next.await.unwrap(), first);
}

/// The last job of the worker never runs, so no result says that the worker is done.
#[coreloop::test]
async fn a_worker_whose_last_job_is_cancelled_before_it_starts_ends() {
    let pool = Pool::builder().workers(1).max_jobs(1).build().unwrap();
    pool.ready().await.unwrap();
    let worker = pool.metrics().workers[0].pid;
    let process = Pid::from_raw(worker.try_into().unwrap()).unwrap();
    stop(process);
    let job = pool.submit(pid, ()).await.unwrap();
    yield_until(|| pool.metrics().workers.len() == 2).await;
    job.abort();
    kill_process(process, Signal::CONT).unwrap();
    assert!(!job.await.unwrap_err().has_started());
    let has_ended = || {
        let workers = pool.metrics().workers;
        workers.iter().all(|other| other.pid != worker)
    };
    yield_until(has_ended).await;
    assert_ne!(pool.run(pid, ()).await.unwrap(), worker);
}

#[coreloop::test]
async fn the_largest_numbers_are_no_errors() {
    let restarts = Restarts::new()
        .min_wait(Duration::MAX)
        .max_wait(Duration::MAX);
    let pool = Pool::builder()
        .workers(1)
        .queue(usize::MAX)
        .prefetch(usize::MAX)
        .max_jobs(u64::MAX)
        .max_memory(u64::MAX)
        .max_message(usize::MAX)
        .restarts(restarts)
        .build()
        .unwrap();
    let job = pool.job(length, "abc".to_owned()).attempts(u32::MAX);
    let job = job.timeout(Duration::MAX).priority(i32::MAX);
    assert_eq!(job.run().await.unwrap(), 3);
    let inputs = (0..5).map(|length| "a".repeat(length));
    let map = pool.map(length, inputs).chunks(usize::MAX);
    let lengths: Vec<usize> = map.map(Result::unwrap).collect().await;
    assert_eq!(lengths, [0, 1, 2, 3, 4]);
    let map = pool.map(length, [String::new()]).window(usize::MAX);
    assert_eq!(map.count().await, 1);
    assert_eq!(pool.shutdown(Duration::MAX).await.dropped, 0);
}

#[coreloop::test]
async fn workers_have_names() {
    let pool = Pool::builder().workers(1).name("resizer").build().unwrap();
    let name = pool.run(name, ()).await.unwrap();
    assert_eq!(name, "resizer: pool worker 1");
}

#[coreloop::job]
fn name() -> String {
    coreloop::pool::current_process().name
}
