//! Workers that end.

use std::path::PathBuf;

use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::meeting::{Meeting, meet};

use super::{Place, Running, SHORT, pool, worker};

/// Meets the test, and returns its name.
#[coreloop::job]
fn attend(meeting: PathBuf, name: String) -> String {
    meet(&meeting, &name);
    name
}

pub(crate) async fn a_worker_that_stops_finishes_what_runs_and_returns_the_rest(
    place: &impl Place,
) {
    let meeting = Meeting::new();
    let queue = place.queue("meeting").await;
    let one = pool(1);
    // What a worker returns does not count as an attempt.
    let running = Running::start(worker(&queue, &one).attempts(1).at_once(3));
    let inputs = ["a", "b", "c", "d"].map(|name| (meeting.path(), name.to_owned()));
    let receipts = queue.push_many(attend, inputs).await.unwrap();
    let first = meeting.arrival().await;
    yield_until(|| running.control.metrics().held == 3).await;
    running.control.stop();
    running.control.stop();
    // Two of the three wait in the pool, and are free at once.
    let other = pool(1);
    let client = place.queue("meeting").await;
    let next = Running::start(worker(&client, &other).attempts(1));
    for _ in 0..3 {
        meeting.arrival().await.release().await;
    }
    first.release().await;
    for (receipt, name) in receipts.iter().zip(["a", "b", "c", "d"]) {
        assert_eq!(queue.result(receipt).await.unwrap(), name);
    }
    let metrics = running.task.await.unwrap().unwrap();
    assert_eq!((metrics.done, metrics.returned, metrics.held), (1, 2, 0));
    assert_eq!(metrics.dead, 0);
    let metrics = next.stop().await;
    assert_eq!((metrics.done, metrics.failed, metrics.dead), (3, 0, 0));
    one.close();
    other.close();
}

pub(crate) async fn a_worker_whose_pool_is_closed_returns_its_jobs(place: &impl Place) {
    let meeting = Meeting::new();
    let queue = place.queue("meeting").await;
    let pool_of_one = pool(1);
    let running = Running::start(worker(&queue, &pool_of_one).at_once(2));
    let inputs = ["a", "b"].map(|name| (meeting.path(), name.to_owned()));
    let receipts = queue.push_many(attend, inputs).await.unwrap();
    let first = meeting.arrival().await;
    yield_until(|| running.control.metrics().held == 2).await;
    pool_of_one.close();
    first.release().await;
    // What the pool had accepted may run or be returned.
    let error = running.task;
    let second = async {
        let other = pool(1);
        let client = place.queue("meeting").await;
        let next = Running::start(worker(&client, &other));
        for receipt in &receipts {
            queue.result(receipt).await.unwrap();
        }
        next.stop().await
    };
    let arrivals = async {
        meeting.arrival().await.release().await;
        std::future::pending::<()>().await;
    };
    coreloop::select! {
        _ = second => {}
        () = arrivals => {}
    }
    let error = error.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("pool"), "{error}");
}

pub(crate) async fn jobs_of_a_worker_that_is_dropped_run_elsewhere(place: &impl Place) {
    let meeting = Meeting::new();
    let queue = place.queue("meeting").await;
    let one = pool(1);
    let running = Running::start(worker(&queue, &one).lease(SHORT).at_once(2));
    let inputs = ["a", "b"].map(|name| (meeting.path(), name.to_owned()));
    let receipts = queue.push_many(attend, inputs).await.unwrap();
    let first = meeting.arrival().await;
    // Nothing is returned: the leases end with their time.
    running.abort().await;
    let other = pool(1);
    let client = place.queue("meeting").await;
    let next = Running::start(worker(&client, &other).lease(place.long()));
    for _ in 0..2 {
        meeting.arrival().await.release().await;
    }
    for (receipt, name) in receipts.iter().zip(["a", "b"]) {
        assert_eq!(queue.result(receipt).await.unwrap(), name);
    }
    assert_eq!(next.stop().await.done, 2);
    first.release().await;
}

pub(crate) async fn a_job_that_waits_for_long_behind_another_runs_elsewhere(place: &impl Place) {
    let meeting = Meeting::new();
    let queue = place.queue("meeting").await;
    let one = pool(1);
    let lease = SHORT * 4;
    let running = Running::start(worker(&queue, &one).lease(lease).at_once(2));
    let inputs = ["a", "b"].map(|name| (meeting.path(), name.to_owned()));
    let receipts = queue.push_many(attend, inputs).await.unwrap();
    let first = meeting.arrival().await;
    yield_until(|| running.control.metrics().held == 2).await;
    // This one is free, and gets the job when the other has returned it.
    let other = pool(1);
    let client = place.queue("meeting").await;
    let next = Running::start(worker(&client, &other).lease(lease));
    let second = meeting.arrival().await;
    assert_eq!((first.name.as_str(), second.name.as_str()), ("a", "b"));
    second.release().await;
    assert_eq!(queue.result(&receipts[1]).await.unwrap(), "b");
    let metrics = next.stop().await;
    assert_eq!((metrics.done, metrics.lost), (1, 0));
    first.release().await;
    assert_eq!(queue.result(&receipts[0]).await.unwrap(), "a");
    let metrics = running.stop().await;
    assert_eq!((metrics.done, metrics.failed), (1, 0));
    assert!(metrics.returned > 0);
}

pub(crate) async fn a_worker_runs_until_its_shutdown_completes(place: &impl Place) {
    let meeting = Meeting::new();
    let queue = place.queue("meeting").await;
    let one = pool(1);
    let (stop, stopped) = coreloop::sync::oneshot::channel::<()>();
    let worker = worker(&queue, &one);
    let control = worker.control();
    let run = coreloop::spawn(worker.run_until(async move { drop(stopped.await) }));
    let inputs = ["a", "b"].map(|name| (meeting.path(), name.to_owned()));
    let mut receipts = queue.push_many(attend, inputs).await.unwrap().into_iter();
    let (first, _second) = (receipts.next().unwrap(), receipts.next().unwrap());
    let arrival = meeting.arrival().await;
    stop.send(()).unwrap();
    // It returns what has not started, and waits for the job that runs.
    yield_until(|| control.metrics().held == 1).await;
    arrival.release().await;
    let metrics = run.await.unwrap().unwrap();
    assert_eq!((metrics.done, metrics.held), (1, 0));
    assert_eq!(queue.result(&first).await.unwrap(), "a");
    let counts = queue.counts().await.unwrap();
    assert_eq!((counts.waiting + counts.leased, counts.dead), (1, 0));
}
