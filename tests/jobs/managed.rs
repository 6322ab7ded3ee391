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
