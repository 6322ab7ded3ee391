//! Values passed through channels, written once so that every crate does the same, on any
//! runtime.

use std::future::Future;

use crate::yielding::Yield;

/// A bounded channel of a crate.
pub(crate) trait Mpsc {
    type Sender;
    type Receiver;
    fn channel(bound: usize) -> (Self::Sender, Self::Receiver);
    async fn send(sender: &Self::Sender, value: u64);
    async fn receive(receiver: &mut Self::Receiver) -> Option<u64>;
}

/// A channel for one value of a crate.
pub(crate) trait Oneshot {
    /// Creates a channel, sends the value and receives it.
    async fn pass(value: u64) -> u64;
}

/// A broadcast channel of a crate.
pub(crate) trait Broadcast {
    type Sender;
    type Receiver;
    fn channel(capacity: usize) -> Self::Sender;
    fn subscribe(sender: &Self::Sender) -> Self::Receiver;
    fn send(sender: &Self::Sender, value: u64);
    async fn receive(receiver: &mut Self::Receiver) -> Option<u64>;
}

/// A watched value of a crate.
pub(crate) trait Watch {
    type Sender;
    type Receiver;
    fn channel() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, value: u64);
    /// Waits for a change and reads the value.
    async fn receive(receiver: &mut Self::Receiver) -> Option<u64>;
}

/// Passes values from one producer to one consumer.
pub(crate) fn mpsc<C: Mpsc>(
    bound: usize,
    values: u64,
) -> (impl Future<Output = ()>, impl Future<Output = u64>) {
    let (sender, mut receiver) = C::channel(bound);
    let producer = async move {
        for value in 0..values {
            C::send(&sender, value).await;
        }
    };
    let consumer = async move {
        let mut sum = 0;
        while let Some(value) = C::receive(&mut receiver).await {
            sum += value;
        }
        sum
    };
    (producer, consumer)
}

/// Passes each value through its own channel.
pub(crate) async fn oneshot<C: Oneshot>(values: u64) -> u64 {
    let mut sum = 0;
    for value in 0..values {
        sum += C::pass(value).await;
    }
    sum
}

/// Runs receivers, and a sender that lets them run after each value.
pub(crate) fn broadcast<C: Broadcast>(
    receivers: usize,
    values: u64,
) -> (impl Future<Output = ()>, Vec<impl Future<Output = u64>>) {
    let sender = C::channel(16);
    let consumers = (0..receivers)
        .map(|_| {
            let mut receiver = C::subscribe(&sender);
            async move {
                let mut sum = 0;
                while let Some(value) = C::receive(&mut receiver).await {
                    sum += value;
                }
                sum
            }
        })
        .collect();
    let producer = async move {
        for value in 0..values {
            C::send(&sender, value);
            Yield::default().await;
        }
    };
    (producer, consumers)
}

/// Makes changes, and reads each in the task that made it.
pub(crate) async fn watch_in_one_task<C: Watch>(values: u64) -> u64 {
    let (sender, mut receiver) = C::channel();
    let mut sum = 0;
    for value in 0..values {
        C::send(&sender, value);
        sum += C::receive(&mut receiver).await.unwrap_or(0);
    }
    sum
}

/// Runs a task that changes the value, and one that waits for each change.
pub(crate) fn watch<C: Watch>(
    values: u64,
) -> (impl Future<Output = ()>, impl Future<Output = u64>) {
    let (sender, mut receiver) = C::channel();
    let producer = async move {
        for value in 0..values {
            C::send(&sender, value);
            Yield::default().await;
        }
    };
    let consumer = async move {
        let mut sum = 0;
        while let Some(value) = C::receive(&mut receiver).await {
            sum += value;
        }
        sum
    };
    (producer, consumer)
}

/// The channels of coreloop.
pub(crate) struct Coreloop;

impl Mpsc for Coreloop {
    type Sender = coreloop::sync::mpsc::Sender<u64>;
    type Receiver = coreloop::sync::mpsc::Receiver<u64>;

    fn channel(bound: usize) -> (Self::Sender, Self::Receiver) {
        coreloop::sync::mpsc::channel(bound)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

impl Oneshot for Coreloop {
    async fn pass(value: u64) -> u64 {
        let (sender, receiver) = coreloop::sync::oneshot::channel();
        sender.send(value).expect("the receiver is there");
        receiver.await.expect("the value was sent")
    }
}

impl Broadcast for Coreloop {
    type Sender = coreloop::sync::broadcast::Sender<u64>;
    type Receiver = coreloop::sync::broadcast::Receiver<u64>;

    fn channel(capacity: usize) -> Self::Sender {
        coreloop::sync::broadcast::Sender::new(capacity)
    }

    fn subscribe(sender: &Self::Sender) -> Self::Receiver {
        sender.subscribe()
    }

    fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("the receivers are there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await.ok()
    }
}

impl Watch for Coreloop {
    type Sender = coreloop::sync::watch::Sender<u64>;
    type Receiver = coreloop::sync::watch::Receiver<u64>;

    fn channel() -> (Self::Sender, Self::Receiver) {
        coreloop::sync::watch::channel(0)
    }

    fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.changed().await.ok()?;
        Some(*receiver.borrow_and_update())
    }
}

/// The channels of tokio.
pub(crate) struct Tokio;

impl Mpsc for Tokio {
    type Sender = tokio::sync::mpsc::Sender<u64>;
    type Receiver = tokio::sync::mpsc::Receiver<u64>;

    fn channel(bound: usize) -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(bound)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await
    }
}

impl Oneshot for Tokio {
    async fn pass(value: u64) -> u64 {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        sender.send(value).expect("the receiver is there");
        receiver.await.expect("the value was sent")
    }
}

impl Broadcast for Tokio {
    type Sender = tokio::sync::broadcast::Sender<u64>;
    type Receiver = tokio::sync::broadcast::Receiver<u64>;

    fn channel(capacity: usize) -> Self::Sender {
        tokio::sync::broadcast::Sender::new(capacity)
    }

    fn subscribe(sender: &Self::Sender) -> Self::Receiver {
        sender.subscribe()
    }

    fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("the receivers are there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().await.ok()
    }
}

impl Watch for Tokio {
    type Sender = tokio::sync::watch::Sender<u64>;
    type Receiver = tokio::sync::watch::Receiver<u64>;

    fn channel() -> (Self::Sender, Self::Receiver) {
        tokio::sync::watch::channel(0)
    }

    fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.changed().await.ok()?;
        Some(*receiver.borrow_and_update())
    }
}
