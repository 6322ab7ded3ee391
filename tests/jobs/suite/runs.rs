//! Jobs that run and have results.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coreloop_test_support::size;
use serde::{Deserialize, Serialize};

use super::{Log, Place, Running, append, pool, worker};

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Order {
    number: u64,
    items: HashMap<String, Vec<u8>>,
    note: Option<String>,
    state: State,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
enum State {
    New,
    Sent { day: u8 },
}

#[coreloop::job]
fn send(mut order: Order, day: u8) -> Order {
    order.state = State::Sent { day };
    order
}

#[coreloop::job]
async fn halve(number: i64) -> Result<i64, String> {
    coreloop::task::yield_now().await;
    if number % 2 == 0 {
        Ok(number / 2)
    } else {
        Err(format!("{number} is odd"))
    }
}

#[coreloop::job]
fn nothing() {}

pub(crate) async fn a_job_runs_and_its_result_has_its_type(place: &impl Place) {
    let queue = place.queue("orders").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool));
    let order = Order {
        number: u64::MAX,
        items: HashMap::from([("ä".to_owned(), vec![0, 255])]),
        note: None,
        state: State::New,
    };
    let producer = place.queue("orders").await;
    let receipt = producer.push(send, (order.clone(), 7)).await.unwrap();
    let expected = Order {
        state: State::Sent { day: 7 },
        ..order
    };
    assert_eq!(producer.result(&receipt).await.unwrap(), expected);
    let receipt = producer.push(halve, 8).await.unwrap();
    assert_eq!(producer.result(&receipt).await.unwrap(), Ok(4));
    let receipt = producer.push(nothing, ()).await.unwrap();
    producer.result(&receipt).await.unwrap();
    let metrics = running.stop().await;
    assert_eq!((metrics.done, metrics.held), (3, 0));
    let counts = queue.counts().await.unwrap();
    assert_eq!(counts.waiting + counts.leased + counts.dead, 0);
}

#[coreloop::job]
fn square(log: PathBuf, number: u64) -> u64 {
    append(&log, &number.to_string());
    number * number
}

pub(crate) async fn each_of_many_jobs_runs_once_on_several_workers(place: &impl Place) {
    let count = size::pick(300, 5_000);
    let log = Log::new();
    let pools = [pool(1), pool(2)];
    let mut workers = Vec::new();
    for pool in &pools {
        let queue = place.queue("numbers").await;
        workers.push(Running::start(worker(&queue, pool)));
    }
    let queue = place.queue("numbers").await;
    let inputs = (0..count).map(|number| (log.path(), number));
    let receipts = queue.push_many(square, inputs).await.unwrap();
    for (number, receipt) in (0..count).zip(&receipts) {
        assert_eq!(queue.result(receipt).await.unwrap(), number * number);
    }
    let mut done = 0;
    for worker in workers {
        let metrics = worker.stop().await;
        assert_eq!((metrics.failed, metrics.lost, metrics.taken), (0, 0, 0));
        done += metrics.done;
    }
    assert_eq!(done, count);
    let mut ran: Vec<u64> = log
        .lines()
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    ran.sort_unstable();
    assert!(ran.into_iter().eq(0..count));
}

pub(crate) async fn a_producer_that_repeats_its_push_stores_one_job(place: &impl Place) {
    let log = Log::new();
    let queue = place.queue("numbers").await;
    let push = || queue.push(square, (log.path(), 3)).key("order-17");
    let first = push().await.unwrap();
    // As if the answer was lost.
    assert_eq!(push().await.unwrap(), first);
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool));
    assert_eq!(queue.result(&first).await.unwrap(), 9);
    // The job has ended, and is known nevertheless; also beside others, and to another client.
    let other = place.queue("numbers").await;
    let pushes = [
        other.push(square, (log.path(), 4)),
        other.push(square, (log.path(), 3)).key("order-17"),
        other.push(square, (log.path(), 5)).key("order-18"),
    ];
    let receipts = other.push_all(pushes).await.unwrap();
    assert_eq!(receipts[1], first);
    for (receipt, result) in receipts.iter().zip([16, 9, 25]) {
        assert_eq!(other.result(receipt).await.unwrap(), result);
    }
    running.stop().await;
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["3", "4", "5"]);
}

fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

#[coreloop::job]
fn time_of_start() -> u64 {
    now().try_into().unwrap()
}

pub(crate) async fn a_delayed_job_does_not_run_early(place: &impl Place) {
    let delay = Duration::from_millis(400);
    let queue = place.queue("later").await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool).lease(Duration::MAX));
    let pushed = now();
    let later = queue.push(time_of_start, ()).delay(delay).await.unwrap();
    // It was added to the time of the clock, and was too much.
    let endless = Duration::MAX;
    let never = queue.push(time_of_start, ()).delay(endless).await.unwrap();
    let at_once = queue.push(time_of_start, ()).await.unwrap();
    queue.result(&at_once).await.unwrap();
    let started = queue.result(&later).await.unwrap();
    // Engines may count in milliseconds.
    assert!(u128::from(started) + 2 >= pushed + delay.as_millis());
    assert_eq!(queue.counts().await.unwrap().delayed, 1);
    let waits = queue.result(&never).timeout(Duration::from_millis(1)).await;
    assert!(waits.unwrap_err().is_timeout());
    running.stop().await;
}

pub(crate) async fn a_result_can_be_waited_for_before_and_after_the_job_has_run(
    place: &impl Place,
) {
    let queue = place.queue("numbers").await;
    let receipt = queue.push(halve, 6).await.unwrap();
    let waits: Vec<_> = (0..3)
        .map(|_| coreloop::spawn(queue.result(&receipt).into_future()))
        .collect();
    coreloop::task::yield_now().await;
    let pool = pool(1);
    let running = Running::start(worker(&queue, &pool));
    for wait in waits {
        assert_eq!(wait.await.unwrap().unwrap(), Ok(3));
    }
    running.stop().await;
    // By another client, which has only the text of the id.
    let other = place.queue("numbers").await;
    let id = coreloop::jobs::JobId::from(receipt.to_string());
    let receipt = coreloop::jobs::Receipt::<Result<i64, String>>::of(id);
    assert_eq!(other.result(&receipt).await.unwrap(), Ok(3));
}

pub(crate) async fn a_wait_for_a_result_ends_with_its_time(place: &impl Place) {
    let queue = place.queue("numbers").await;
    let receipt = queue.push(halve, 6).await.unwrap();
    let limit = Duration::from_millis(10);
    let error = queue.result(&receipt).timeout(limit).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains(&receipt.to_string()), "{error}");
}

pub(crate) async fn a_queue_does_not_run_the_jobs_of_another(place: &impl Place) {
    let (one, other) = (place.queue("one").await, place.queue("other").await);
    let pool = pool(1);
    let running = Running::start(worker(&one, &pool));
    let elsewhere = other.push(halve, 2).key("key").await.unwrap();
    let here = one.push(halve, 4).key("key").await.unwrap();
    assert_eq!(one.result(&here).await.unwrap(), Ok(2));
    assert_eq!(other.counts().await.unwrap().waiting, 1);
    let limit = Duration::from_millis(10);
    let error = other.result(&elsewhere).timeout(limit).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    running.stop().await;
}

/// Keeps a core busy.
#[coreloop::job]
fn spin(log: PathBuf, time: Duration) {
    append(&log, "started");
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

pub(crate) async fn a_job_that_takes_longer_than_its_lease_runs_once(place: &impl Place) {
    let lease = size::pick(Duration::from_millis(800), Duration::from_secs(2));
    let leases = size::pick(3, 10);
    let log = Log::new();
    let (queue, rival) = (place.queue("spin").await, place.queue("spin").await);
    let pools = [pool(1), pool(1)];
    // Both could lease it.
    let one = Running::start(worker(&queue, &pools[0]).lease(lease));
    let other = Running::start(worker(&rival, &pools[1]).lease(lease));
    let receipt = queue
        .push(spin, (log.path(), lease * leases))
        .await
        .unwrap();
    queue.result(&receipt).await.unwrap();
    let (one, other) = (one.stop().await, other.stop().await);
    assert_eq!(one.done + other.done, 1);
    assert_eq!(one.taken + other.taken + one.lost + other.lost, 0);
    assert_eq!(log.lines(), ["started"]);
}

#[coreloop::job]
fn spin_too(log: PathBuf, time: Duration) {
    spin(log, time);
}

/// The leases of both are renewed, and each job has a process of its own.
pub(crate) async fn long_jobs_of_two_functions_keep_their_leases(place: &impl Place) {
    let lease = size::pick(Duration::from_millis(800), Duration::from_secs(2));
    let log = Log::new();
    let (queue, rival) = (place.queue("spin").await, place.queue("spin").await);
    let pools = [pool(2), pool(2)];
    let one = Running::start(worker(&queue, &pools[0]).lease(lease));
    let other = Running::start(worker(&rival, &pools[1]).lease(lease));
    let mut receipts = Vec::new();
    for _ in 0..2 {
        let input = (log.path(), lease * 2);
        receipts.push(queue.push(spin, input.clone()).await.unwrap());
        receipts.push(queue.push(spin_too, input).await.unwrap());
    }
    for receipt in &receipts {
        queue.result(receipt).await.unwrap();
    }
    let (one, other) = (one.stop().await, other.stop().await);
    assert_eq!(one.done + other.done, 4);
    assert_eq!(one.taken + other.taken + one.lost + other.lost, 0);
    assert_eq!(log.lines().len(), 4);
}
