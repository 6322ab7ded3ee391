//! Queues in the memory of a manager, for clients that connect to it.

use std::time::Duration;

use coreloop::jobs::{Client, Key, Manager, Queue};

use crate::suite::{Place, Reachable, in_place, on_machines};

/// A manager of the test.
struct Managed(Manager);

fn key() -> Key {
    Key::new(b"sixteen bytes and more").unwrap()
}

impl Managed {
    async fn start() -> Option<Self> {
        let manager = Manager::bind("127.0.0.1:0")
            .key(&key())
            // The leases of machines that were killed end with their time, and not before.
            .grace(Duration::from_secs(60));
        Some(Self(manager.start().await.unwrap()))
    }
}

impl Place for Managed {
    async fn queue(&self, name: &str) -> Queue {
        connect(self.address(), name).await
    }
}

impl Reachable for Managed {
    fn address(&self) -> String {
        self.0.address().to_string()
    }
}

async fn connect(address: String, name: &str) -> Queue {
    let client = Client::connect(address, &key()).await.unwrap();
    let queue = Queue::memory(&client).name(name);
    queue.connect().await.unwrap()
}

in_place!(Managed::start().await);

on_machines!(Managed::start().await, connect);

#[coreloop::test]
async fn a_queue_in_the_process_of_the_manager_is_the_same() {
    let managed = Managed::start().await.unwrap();
    let here = Queue::memory(&managed.0).name("mail");
    let here = here.connect().await.unwrap();
    let there = managed.queue("mail").await;
    let elsewhere = managed.queue("other").await;
    let receipt = here.push(double, 4).key("key").await.unwrap();
    assert_eq!(there.push(double, 4).key("key").await.unwrap(), receipt);
    assert_eq!(there.counts().await.unwrap(), here.counts().await.unwrap());
    assert_eq!(there.counts().await.unwrap().waiting, 1);
    assert_eq!(elsewhere.counts().await.unwrap().waiting, 0);
}

#[coreloop::job]
fn double(number: u8) -> u8 {
    number * 2
}

#[coreloop::job]
fn length(text: String) -> usize {
    text.len()
}

/// Each job fits, and all of them together do not.
#[coreloop::test]
async fn jobs_and_results_are_sent_in_as_many_messages_as_they_need() {
    const MESSAGE: usize = 16 * 1024;
    let manager = Manager::bind("127.0.0.1:0").key(&key());
    let manager = manager.max_message(MESSAGE).start().await.unwrap();
    for client_has_less in [false, true] {
        let mut client = Client::builder(manager.address().to_string(), &key());
        if client_has_less {
            client = client.max_message(MESSAGE / 2);
        }
        let client = client.connect().await.unwrap();
        let queue = Queue::memory(&client)
            .name("texts")
            .connect()
            .await
            .unwrap();
        let lengths: Vec<usize> = (0..60).map(|number| number * 97 % 5_000).collect();
        let texts = lengths.iter().map(|length| "x".repeat(*length));
        let receipts = queue.push_many(length, texts).await.unwrap();
        let pool = coreloop::pool::Pool::builder().workers(1).build().unwrap();
        let worker = queue.worker().jobs_of(&pool).at_once(60);
        let control = worker.control();
        let worker = coreloop::spawn(worker.run());
        for (receipt, length) in receipts.iter().zip(lengths) {
            assert_eq!(queue.result(receipt).await.unwrap(), length);
        }
        control.stop();
        let metrics = worker.await.unwrap().unwrap();
        assert_eq!((metrics.done, metrics.dead), (60, 0));
    }
}
