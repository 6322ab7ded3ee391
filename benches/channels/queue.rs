//! Queues with several receivers, of which one gets each item.

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop::sync::{LifoQueue, PriorityQueue, Queue};
use tokio::task::spawn_local;

use crate::tasks::in_tasks;

const ROOM: usize = 16;

/// Runs one task that puts an item for each task that gets one.
pub(crate) async fn pass(getters: usize, pieces: u64) -> Duration {
    let queue = Rc::new(Queue::new(ROOM));
    let putting = Rc::clone(&queue);
    let putter = coreloop::spawn(async move {
        for value in 0..pieces * getters as u64 {
            putting.put(value).await.expect("it is not shut down");
        }
        putting.shutdown(false);
    });
    let elapsed = in_tasks(getters, coreloop::spawn, || {
        let queue = Rc::clone(&queue);
        async move {
            while let Ok(value) = queue.get().await {
                black_box(value);
            }
        }
    })
    .await;
    putter.await.expect("it does not panic");
    elapsed
}

pub(crate) async fn pass_by_async_channel(getters: usize, pieces: u64) -> Duration {
    let (sender, receiver) = async_channel::bounded(ROOM);
    let putter = spawn_local(async move {
        for value in 0..pieces * getters as u64 {
            sender.send(value).await.expect("it is not closed");
        }
    });
    let elapsed = in_tasks(getters, spawn_local, || {
        let receiver = receiver.clone();
        async move {
            while let Ok(value) = receiver.recv().await {
                black_box(value);
            }
        }
    })
    .await;
    putter.await.expect("it does not panic");
    elapsed
}

pub(crate) async fn first_in(held: usize, pieces: u64) -> Duration {
    fill_and_empty(&Queue::new(held), held, pieces).await
}

pub(crate) async fn last_in(held: usize, pieces: u64) -> Duration {
    fill_and_empty(&LifoQueue::new(held), held, pieces).await
}

pub(crate) async fn smallest(held: usize, pieces: u64) -> Duration {
    fill_and_empty(&PriorityQueue::new(held), held, pieces).await
}

/// Puts items in no particular order, and gets them.
async fn fill_and_empty(queue: &Queue<u64>, held: usize, pieces: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..pieces {
        for number in 0..held as u64 {
            let value = number.wrapping_mul(7_919_113) % 1000;
            queue.put(value).await.expect("it is not shut down");
        }
        for _ in 0..held {
            black_box(queue.get().await.expect("it is not shut down"));
        }
    }
    start.elapsed()
}
