//! Cancelling jobs, and the end of an executor.

use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use coreloop::io::AsyncReadExt;
use coreloop::pool::Executor;
use coreloop::time::timeout;
use coreloop_test_support::wakers::panicking_waker;

use super::{
    Gates, Place, create, hold, in_each_place, panic_quietly, poll_once, square, until_cancelled,
};

in_each_place! {
    a_job_that_is_aborted_while_it_waits_never_runs
    a_job_whose_run_is_dropped_while_it_waits_never_runs
    a_job_that_is_aborted_while_it_runs_is_asked_to_stop
    cancel_waits_for_the_job_that_runs
    a_job_whose_handle_is_dropped_still_runs
    a_panic_of_a_job_without_a_handle_is_dropped
    wakers_that_panic_change_nothing
    a_finished_job_stays_finished
    jobs_run_at_the_same_time_as_far_as_the_executor_allows
    submit_waits_for_room
    many_tasks_may_wait_for_room
    close_lets_the_jobs_finish
    shutdown_waits_for_the_jobs
    shutdown_fails_what_is_left_when_the_time_has_passed
    dropping_the_executor_fails_the_jobs
    every_handle_resolves_whenever_the_executor_ends
}

async fn a_job_that_is_aborted_while_it_waits_never_runs(place: Place) {
    let gates = Gates::new();
    let file = gates.folder.path("file");
    let executor = place.executor(1);
    let running = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    let before = executor.submit(square, 2).await.unwrap();
    let aborted = executor.submit(create, file.clone()).await.unwrap();
    let cancelled = executor.submit(create, file.clone()).await.unwrap();
    let after = executor.submit(square, 3).await.unwrap();
    assert!(!aborted.is_started() && !aborted.is_finished());
    aborted.abort();
    aborted.abort();
    assert!(aborted.is_finished() && !aborted.is_started());
    for error in [
        aborted.await.unwrap_err(),
        cancelled.cancel().await.unwrap_err(),
    ] {
        assert!(error.is_cancelled() && !error.has_started(), "{error}");
        assert_eq!(error.attempts(), 0);
    }
    drop(held);
    running.await.unwrap();
    assert_eq!(before.await.unwrap(), 4);
    assert_eq!(after.await.unwrap(), 9);
    assert!(!file.exists());
}

async fn a_job_whose_run_is_dropped_while_it_waits_never_runs(place: Place) {
    let gates = Gates::new();
    let file = gates.folder.path("file");
    let executor = place.executor(1);
    let running = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    let run = timeout(Duration::from_millis(1), executor.run(create, file.clone()));
    assert!(run.await.is_err());
    drop(held);
    running.await.unwrap();
    assert_eq!(executor.run(square, 3).await.unwrap(), 9);
    assert!(!file.exists());
}

async fn a_job_that_is_aborted_while_it_runs_is_asked_to_stop(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let job = executor
        .submit(until_cancelled, gates.path())
        .await
        .unwrap();
    let mut stream = gates.accept().await;
    assert!(job.is_started());
    job.abort();
    assert!(job.is_finished() && job.is_started());
    let error = job.await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started(), "{error}");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "cancelled");
    assert_eq!(executor.run(square, 3).await.unwrap(), 9);
}

async fn cancel_waits_for_the_job_that_runs(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let job = executor
        .submit(until_cancelled, gates.path())
        .await
        .unwrap();
    let _stream = gates.accept().await;
    assert_eq!(job.cancel().await.unwrap(), 5);
}

async fn a_job_whose_handle_is_dropped_still_runs(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let running = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    drop(executor.submit(hold, gates.path()).await.unwrap());
    drop(running);
    drop(held);
    drop(gates.accept().await);
    executor.close();
    executor.join().await;
}

async fn a_panic_of_a_job_without_a_handle_is_dropped(place: Place) {
    let executor = place.executor(1);
    let text = "without a handle".to_owned();
    drop(executor.submit(panic_quietly, text).await.unwrap());
    assert_eq!(executor.run(square, 3).await.unwrap(), 9);
    executor.close();
    executor.join().await;
}

/// Of tasks that wait for progress, for room and for the end.
async fn wakers_that_panic_change_nothing(place: Place) {
    let gates = Gates::new();
    let executor = place.build(Executor::builder().queue(1), 1);
    let job = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    let next = executor.submit(square, 3).await.unwrap();
    let waker = panicking_waker();
    let mut cx = Context::from_waker(&waker);
    let mut progress = job.progress::<u64>();
    let mut changed = pin!(progress.changed());
    assert!(changed.as_mut().poll(&mut cx).is_pending());
    let mut waits_for_room = pin!(executor.submit(square, 4));
    let is_full = waits_for_room.as_mut().poll(&mut cx).is_pending();
    assert!(is_full || place == Place::Processes);
    let mut waits_for_end = pin!(executor.join());
    assert!(waits_for_end.as_mut().poll(&mut cx).is_pending());
    drop(held);
    assert!(job.await.is_ok());
    assert_eq!(next.await.unwrap(), 9);
    assert!(changed.await.is_none());
    if is_full {
        assert_eq!(waits_for_room.await.unwrap().await.unwrap(), 16);
    }
    assert_eq!(executor.run(square, 5).await.unwrap(), 25);
    executor.close();
    waits_for_end.await;
}

async fn a_finished_job_stays_finished(place: Place) {
    let executor = place.executor(1);
    let mut job = executor.submit(square, 3).await.unwrap();
    // The jobs run in order.
    executor.run(square, 1).await.unwrap();
    assert!(job.is_finished() && job.is_started());
    job.abort();
    assert_eq!((&mut job).await.unwrap(), 9);
    assert!(job.is_finished());
}

async fn jobs_run_at_the_same_time_as_far_as_the_executor_allows(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(3);
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(executor.submit(hold, gates.path()).await.unwrap());
    }
    let mut held = vec![gates.accept().await];
    if place != Place::Inline {
        held.push(gates.accept().await);
        held.push(gates.accept().await);
    }
    let running = jobs.iter().filter(|job| job.is_started()).count();
    assert_eq!(running, held.len());
    for stream in held {
        drop(stream);
    }
    for _ in running..4 {
        drop(gates.accept().await);
    }
    for job in jobs {
        job.await.unwrap();
    }
}

async fn submit_waits_for_room(place: Place) {
    let gates = Gates::new();
    let executor = place.build(Executor::builder().queue(1), 1);
    let running = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    // Processes take some jobs in advance.
    let mut waiting = Vec::new();
    let mut submit = loop {
        let mut submit = Box::pin(executor.submit(square, 7));
        match poll_once(&mut submit).await {
            Some(job) => waiting.push(job.unwrap()),
            None => break submit,
        }
        assert!(waiting.len() < 100);
    };
    let file = gates.folder.path("file");
    let mut dropped = Box::pin(executor.submit(create, file.clone()));
    assert!(poll_once(&mut dropped).await.is_none());
    let mut closed = Box::pin(executor.submit(square, 8));
    assert!(poll_once(&mut closed).await.is_none());
    drop(dropped);
    drop(held);
    let job = (&mut submit).await.unwrap();
    running.await.unwrap();
    for job in waiting {
        assert_eq!(job.await.unwrap(), 49);
    }
    assert_eq!(job.await.unwrap(), 49);
    assert_eq!(closed.await.unwrap().await.unwrap(), 64);
    for number in 0..300 {
        // Each takes the room of the one before it.
        drop(executor.submit(square, number).await.unwrap());
    }
    executor.run(square, 1).await.unwrap();
    assert!(!file.exists());
}

async fn many_tasks_may_wait_for_room(place: Place) {
    let executor = place.build(Executor::builder().queue(2), 2);
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let executor = executor.clone();
            coreloop::spawn(async move {
                let mut jobs = Vec::new();
                for number in 0..50 {
                    if (number + task) % 7 == 0 {
                        // Leaves the queue, unless there was room.
                        let mut left = Box::pin(executor.submit(square, number));
                        drop(poll_once(&mut left).await);
                    }
                    jobs.push(executor.submit(square, number).await.unwrap());
                }
                let mut sum = 0;
                for job in jobs {
                    sum += job.await.unwrap();
                }
                sum
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), (0..50).map(square).sum::<u64>());
    }
}

async fn close_lets_the_jobs_finish(place: Place) {
    let gates = Gates::new();
    let executor = place.build(Executor::builder().queue(1), 1);
    let running = executor.submit(hold, gates.path()).await.unwrap();
    let held = gates.accept().await;
    let mut waiting = Vec::new();
    let submit = loop {
        let mut submit = Box::pin(executor.submit(square, 7));
        match poll_once(&mut submit).await {
            Some(job) => waiting.push(job.unwrap()),
            None => break submit,
        }
    };
    assert!(!executor.is_closed());
    executor.close();
    assert!(executor.is_closed());
    assert!(submit.await.unwrap_err().is_shut_down());
    let error = executor.submit(square, 2).await.unwrap_err();
    assert!(error.is_shut_down(), "{error}");
    let mut join = pin!(executor.join());
    assert!(poll_once(&mut join).await.is_none());
    drop(held);
    join.await;
    assert!(running.is_finished());
    running.await.unwrap();
    for job in waiting {
        assert_eq!(job.await.unwrap(), 49);
    }
    executor.join().await;
}

async fn shutdown_waits_for_the_jobs(place: Place) {
    let executor = place.executor(2);
    let mut jobs = Vec::new();
    for number in 0..20 {
        jobs.push(executor.submit(square, number).await.unwrap());
    }
    let report = executor.shutdown(Duration::from_secs(600)).await;
    assert!(jobs.iter().all(coreloop::pool::JobHandle::is_finished));
    assert!(report.done <= 20);
    assert_eq!((report.dropped, report.killed, report.abandoned), (0, 0, 0));
    assert!(executor.run(square, 1).await.unwrap_err().is_shut_down());
    executor.join().await;
    let again = executor.shutdown(Duration::ZERO).await;
    assert_eq!(again.done, 0);
}

async fn shutdown_fails_what_is_left_when_the_time_has_passed(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let running = executor
        .submit(until_cancelled, gates.path())
        .await
        .unwrap();
    let mut stream = gates.accept().await;
    let detached = executor.submit(square, 2).await.unwrap();
    drop(detached);
    let waiting = executor.submit(square, 3).await.unwrap();
    let report = executor.shutdown(Duration::ZERO).await;
    assert_eq!((report.done, report.dropped), (0, 2));
    let left = match place {
        Place::Threads => (0, 1),
        Place::Processes | Place::Inline => (1, 0),
    };
    assert_eq!((report.killed, report.abandoned), left);
    let error = running.await.unwrap_err();
    assert!(error.is_shut_down() && error.has_started(), "{error}");
    let error = waiting.await.unwrap_err();
    assert!(error.is_shut_down() && !error.has_started(), "{error}");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    match place {
        Place::Threads => assert_eq!(text, "cancelled"),
        // The worker is killed at once, but the job may notice before that it was asked to stop.
        Place::Processes => assert!(["", "cancelled"].contains(&text.as_str())),
        Place::Inline => assert_eq!(text, ""),
    }
    executor.join().await;
}

async fn dropping_the_executor_fails_the_jobs(place: Place) {
    let gates = Gates::new();
    let executor = place.executor(1);
    let running = executor
        .submit(until_cancelled, gates.path())
        .await
        .unwrap();
    let mut stream = gates.accept().await;
    let waiting = executor.submit(square, 3).await.unwrap();
    drop(executor);
    let error = running.await.unwrap_err();
    assert!(error.is_shut_down() && error.has_started(), "{error}");
    let error = waiting.await.unwrap_err();
    assert!(error.is_shut_down() && !error.has_started(), "{error}");
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

async fn every_handle_resolves_whenever_the_executor_ends(place: Place) {
    let ends = if place == Place::Processes { 3 } else { 40 };
    for end in 0..ends {
        let executor = place.executor(2);
        let mut jobs = Vec::new();
        for number in 0..end * 5 {
            jobs.push((number, executor.submit(square, number).await.unwrap()));
            if end % 3 == 0 {
                coreloop::task::yield_now().await;
            }
        }
        match end % 4 {
            0 => drop(executor),
            1 => executor.close(),
            2 => drop(executor.shutdown(Duration::ZERO).await),
            _ => jobs.iter().for_each(|(_, job)| job.abort()),
        }
        for (number, job) in jobs {
            match job.await {
                Ok(square) => assert_eq!(square, number * number),
                Err(error) => assert!(error.is_shut_down() || error.is_cancelled(), "{error}"),
            }
        }
    }
}
