//! Values through channels.

use std::hint::black_box;

use coreloop::spawn;
use coreloop::sync::{mpsc, oneshot};

const ROOM: usize = 128;

pub(super) async fn mpsc(times: u64) {
    let (sender, mut receiver) = mpsc::channel(ROOM);
    let producer = spawn(async move {
        for value in 0..times {
            sender.send(value).await.expect("the receiver is there");
        }
    });
    let consumer = spawn(async move {
        let mut received = 0;
        while let Some(value) = receiver.recv().await {
            black_box(value);
            received += 1;
        }
        received
    });
    producer.await.expect("the task is not aborted");
    assert_eq!(consumer.await.expect("the task is not aborted"), times);
}

pub(super) async fn oneshot(times: u64) {
    for value in 0..times {
        let (sender, receiver) = oneshot::channel();
        sender.send(value).expect("the receiver is there");
        black_box(receiver.await.expect("the value was sent"));
    }
}
