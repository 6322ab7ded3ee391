//! Sends values through channels, and returns the time that it took. The parent module
//! imports the channels.

use std::cell::RefCell;
use std::future::Future;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Library, mpsc, oneshot, spawn, watch};
use crate::passing;
use crate::tasks::in_tasks;
use crate::yielding::Yield;

/// The capacity of a channel, if the capacity is not the parameter.
const ROOM: usize = 16;

/// Sends values from one task to another.
pub(crate) async fn mpsc_with_room(room: usize, pieces: u64) -> Duration {
    let (producer, consumer) = passing::mpsc::<Library>(room, pieces);
    pass(vec![producer], vec![consumer]).await
}

pub(crate) async fn mpsc_senders(senders: usize, pieces: u64) -> Duration {
    let (sender, mut receiver) = mpsc::channel::<u64>(ROOM);
    let producers = (0..senders).map(|_| {
        let sender = sender.clone();
        async move {
            for value in 0..pieces {
                sender.send(value).await.expect("the receiver is there");
            }
        }
    });
    let producers = producers.collect();
    drop(sender);
    let consumer = async move {
        let mut sum = 0_u64;
        while let Some(value) = receiver.recv().await {
            sum += value;
        }
        sum
    };
    pass(producers, vec![consumer]).await
}

/// The senders of an unbounded channel yield now and then, because nothing else stops them.
pub(crate) async fn mpsc_unbounded(senders: usize, pieces: u64) -> Duration {
    let (sender, mut receiver) = mpsc::unbounded_channel::<u64>();
    let producers = (0..senders).map(|_| {
        let sender = sender.clone();
        async move {
            for value in 0..pieces {
                sender.send(value).expect("the receiver is there");
                if value % ROOM as u64 == 0 {
                    Yield::default().await;
                }
            }
        }
    });
    let producers = producers.collect();
    drop(sender);
    let consumer = async move {
        let mut sum = 0_u64;
        while let Some(value) = receiver.recv().await {
            sum += value;
        }
        sum
    };
    pass(producers, vec![consumer]).await
}

/// Receives up to `capacity` values at a time.
pub(crate) async fn mpsc_recv_many(limit: usize, pieces: u64) -> Duration {
    let (sender, mut receiver) = mpsc::channel::<u64>(limit);
    let producer = async move {
        for value in 0..pieces {
            sender.send(value).await.expect("the receiver is there");
        }
    };
    let consumer = async move {
        let mut sum = 0_u64;
        let mut values = Vec::with_capacity(limit);
        while receiver.recv_many(&mut values, limit).await > 0 {
            sum += values.drain(..).sum::<u64>();
        }
        sum
    };
    pass(vec![producer], vec![consumer]).await
}

/// Creates a channel for each value, which is sent before it is received.
pub(crate) async fn oneshot_in_one_task(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || passing::oneshot::<Library>(pieces)).await
}

/// Tasks wait for values that one task sends.
pub(crate) async fn oneshot_answers(asking: usize, pieces: u64) -> Duration {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let consumers = (0..asking).map(|_| {
        let asked = Rc::clone(&asked);
        async move {
            let mut sum = 0_u64;
            for value in 0..pieces {
                let (sender, receiver) = oneshot::channel();
                asked.borrow_mut().push((sender, value));
                sum += receiver.await.expect("it is answered");
            }
            sum
        }
    });
    let consumers = consumers.collect();
    let producer = async move {
        let mut answered = 0;
        let mut answering = Vec::with_capacity(asking);
        while answered < asking as u64 * pieces {
            answering.append(&mut asked.borrow_mut());
            answered += answering.len() as u64;
            for (sender, value) in answering.drain(..) {
                sender.send(value).expect("the receiver is there");
            }
            Yield::default().await;
        }
    };
    pass(vec![producer], consumers).await
}

/// Broadcasts values. The sender lets the receivers run after each value.
pub(crate) async fn broadcast_to_receivers(receivers: usize, pieces: u64) -> Duration {
    let (producer, consumers) = passing::broadcast::<Library>(receivers, pieces);
    pass(vec![producer], consumers).await
}

/// All receivers wait for each change of one value.
pub(crate) async fn watch_receivers(receivers: usize, pieces: u64) -> Duration {
    let sender = watch::Sender::new(0_u64);
    let consumers = (0..receivers).map(|_| {
        let mut receiver = sender.subscribe();
        async move {
            let mut sum = 0;
            while receiver.changed().await.is_ok() {
                sum += *receiver.borrow_and_update();
            }
            sum
        }
    });
    let consumers = consumers.collect();
    let producer = async move {
        for value in 0..pieces {
            sender.send(value).expect("the receivers are there");
            Yield::default().await;
        }
    };
    pass(vec![producer], consumers).await
}

/// Uses channels with one receiver each.
pub(crate) async fn watch_pairs(pairs: usize, pieces: u64) -> Duration {
    let (producers, consumers) = (0..pairs)
        .map(|_| passing::watch::<Library>(pieces))
        .unzip();
    pass(producers, consumers).await
}

/// The task that changes the value also reads it.
pub(crate) async fn watch_in_one_task(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || {
        passing::watch_in_one_task::<Library>(pieces)
    })
    .await
}

/// Spawns the receivers, then the senders, and waits for all.
async fn pass<P, C>(producers: Vec<P>, consumers: Vec<C>) -> Duration
where
    P: Future<Output = ()> + 'static,
    C: Future<Output = u64> + 'static,
{
    let start = Instant::now();
    let consumers: Vec<_> = consumers.into_iter().map(spawn).collect();
    let producers: Vec<_> = producers.into_iter().map(spawn).collect();
    for consumer in consumers {
        black_box(consumer.await.expect("it does not panic"));
    }
    for producer in producers {
        producer.await.expect("it does not panic");
    }
    start.elapsed()
}
