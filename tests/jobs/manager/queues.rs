//! Queues of a manager.

use std::time::Duration;

use coreloop::jobs::{Client, Manager, SharedQueue};
use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop::time::timeout;
use coreloop_test_support::clock::paused;
use coreloop_test_support::meeting::soon;

use super::{client, key};

async fn manager() -> Manager {
    Manager::bind("127.0.0.1:0")
        .key(&key())
        .queue("tasks", 4)
        .start()
        .await
        .unwrap()
}

/// Two handles of one queue, of two clients.
async fn two(manager: &Manager) -> (SharedQueue<u32>, SharedQueue<u32>) {
    let (one, two) = (client(manager).await, client(manager).await);
    (one.queue("tasks"), two.queue("tasks"))
}

#[coreloop::test]
async fn items_come_out_in_order_wherever_they_are_put_and_got() {
    let manager = manager().await;
    let (one, two) = two(&manager).await;
    let here = manager.queue::<u32>("tasks");
    one.put(&1).await.unwrap();
    here.put(&2).await.unwrap();
    two.put_many(&[3, 4]).await.unwrap();
    assert_eq!(here.len().await.unwrap(), 4);
    assert!(!one.try_put(&5).await.unwrap());
    assert_eq!(soon(two.get()).await.unwrap(), 1);
    assert!(one.try_put(&5).await.unwrap());
    assert_eq!(soon(here.get()).await.unwrap(), 2);
    assert_eq!(soon(one.get_many(9)).await.unwrap(), [3, 4, 5]);
    assert_eq!(here.try_get().await.unwrap(), None);
    assert_eq!(one.try_get().await.unwrap(), None);
    soon(one.join()).await.unwrap();
    assert!(two.is_empty().await.unwrap());
    assert_eq!(one.name(), "tasks");
}

#[coreloop::test]
async fn a_put_waits_for_room_and_a_get_for_an_item() {
    let manager = manager().await;
    let (one, two) = two(&manager).await;
    let putting = spawn(async move { one.put_many(&[1, 2, 3, 4, 5, 6]).await });
    let mut got = Vec::new();
    for _ in 0..6 {
        got.push(soon(two.get()).await.unwrap());
    }
    assert_eq!(got, [1, 2, 3, 4, 5, 6]);
    soon(putting).await.unwrap().unwrap();
    let other = two.clone();
    let getting = spawn(async move { other.get().await });
    manager.queue("tasks").put(&7_u32).await.unwrap();
    assert_eq!(soon(getting).await.unwrap().unwrap(), 7);
}

#[coreloop::test]
async fn an_item_that_was_not_confirmed_comes_back_to_its_place() {
    let manager = manager().await;
    let (one, two) = two(&manager).await;
    one.put_many(&[1, 2, 3]).await.unwrap();
    let first = soon(one.lease()).await.unwrap();
    let second = soon(one.lease()).await.unwrap();
    assert_eq!((*first, first.attempt(), *second), (1, 1, 2));
    drop(first);
    let again = soon(two.lease()).await.unwrap();
    assert_eq!((*again, again.attempt()), (1, 2));
    second.ack().await.unwrap();
    again.ack().await.unwrap();
    assert_eq!(soon(two.get()).await.unwrap(), 3);
    soon(two.join()).await.unwrap();
}

#[coreloop::test]
async fn the_leases_of_a_client_that_leaves_end_at_once() {
    let manager = manager().await;
    let leaving: Client = client(&manager).await;
    let (_another, other) = two(&manager).await;
    other.put_many(&[1, 2]).await.unwrap();
    let tasks = leaving.queue::<u32>("tasks");
    let mut leases = soon(tasks.lease_many(2)).await.unwrap();
    assert_eq!(leases.len(), 2);
    let second = leases.pop().unwrap();
    // It is leaked, as in a program that ends in the middle.
    std::mem::forget(leases);
    assert_eq!(second.confirm(), 2);
    drop(tasks);
    soon(leaving.close()).await;
    assert_eq!(soon(other.get()).await.unwrap(), 1);
    assert_eq!(other.try_get().await.unwrap(), None);
    assert_eq!(manager.clients(), (2, 2));
}

#[coreloop::test]
async fn a_closed_queue_ends_its_consumers_when_it_is_empty() {
    let manager = manager().await;
    let (one, two) = two(&manager).await;
    one.put_many(&[1, 2]).await.unwrap();
    soon(one.close()).await.unwrap();
    let error = two.put(&3).await.unwrap_err();
    assert!(error.is_closed());
    assert_eq!(error.to_string(), "the queue \"tasks\" was closed");
    assert_eq!(soon(two.get()).await.unwrap(), 1);
    let last = soon(two.lease()).await.unwrap();
    let waiting = spawn(async move { one.get().await });
    yield_now().await;
    last.ack().await.unwrap();
    assert!(soon(waiting).await.unwrap().unwrap_err().is_closed());
    assert!(two.try_get().await.unwrap_err().is_closed());
}

#[coreloop::test]
async fn an_item_of_another_type_stays_in_the_queue() {
    let manager = manager().await;
    let (one, _) = two(&manager).await;
    let words = client(&manager).await.queue::<String>("tasks");
    one.put(&1).await.unwrap();
    let error = soon(words.get()).await.unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert!(error.to_string().contains("String"), "{error}");
    assert_eq!(soon(one.get()).await.unwrap(), 1);
}

/// A `get` that is dropped at any point takes nothing with it.
#[coreloop::test]
async fn a_dropped_get_loses_no_item() {
    let manager = manager().await;
    let (one, two) = two(&manager).await;
    let mut got = Vec::new();
    for number in 0..200_u32 {
        let consumer = two.clone();
        let getting = spawn(async move { consumer.get().await });
        for _ in 0..number % 7 {
            yield_now().await;
        }
        one.put(&number).await.unwrap();
        for _ in 0..number % 5 {
            yield_now().await;
        }
        getting.abort();
        match soon(getting).await {
            Ok(item) => got.push(item.unwrap()),
            // The item was put, and comes back.
            Err(_) => got.push(soon(one.get()).await.unwrap()),
        }
    }
    assert_eq!(got, (0..200).collect::<Vec<_>>());
    soon(two.join()).await.unwrap();
}

#[test]
fn a_get_is_limited_by_a_timeout() {
    paused().block_on(async {
        let manager = manager().await;
        let (one, two) = two(&manager).await;
        let limit = Duration::from_secs(3600);
        assert!(timeout(limit, two.get()).await.is_err());
        one.put(&1).await.unwrap();
        assert_eq!(two.get().await.unwrap(), 1);
    });
}

#[coreloop::test]
async fn large_items_pass_and_too_large_ones_are_errors() {
    let manager = Manager::bind("127.0.0.1:0")
        .key(&key())
        .queue("bytes", 4)
        .max_message(4 << 20)
        .start()
        .await
        .unwrap();
    let client = client(&manager).await;
    let bytes = client.queue::<String>("bytes");
    let large = "x".repeat(3 << 20);
    soon(bytes.put(&large)).await.unwrap();
    assert_eq!(soon(bytes.get()).await.unwrap(), large);
    let error = bytes.put(&"x".repeat(5 << 20)).await.unwrap_err();
    assert!(error.is_codec(), "{error}");

    // A client that accepts less does not keep the item, and is not closed.
    let small = Client::builder(manager.address(), &key()).max_message(1 << 20);
    let small = soon(small.connect()).await.unwrap();
    soon(bytes.put(&large)).await.unwrap();
    let error = soon(small.queue::<String>("bytes").get())
        .await
        .unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert_eq!(soon(bytes.get()).await.unwrap(), large);
    assert!(small.is_connected());
}

#[coreloop::test]
async fn requests_after_the_end_of_a_client_or_a_manager_are_errors() {
    let manager = manager().await;
    let client = client(&manager).await;
    let tasks = client.queue::<u32>("tasks");
    soon(client.clone().close()).await;
    let error = tasks.get().await.unwrap_err();
    assert!(error.is_closed());
    assert_eq!(error.to_string(), "the client was closed");
    let here = manager.queue::<u32>("tasks");
    drop(manager);
    let error = here.put(&1).await.unwrap_err();
    assert_eq!(error.to_string(), "the manager was closed");
}

#[coreloop::test]
async fn many_items_come_in_as_many_answers_as_the_client_reads() {
    let manager = Manager::bind("127.0.0.1:0").key(&key()).queue("texts", 100);
    let manager = manager.start().await.unwrap();
    let client = Client::builder(manager.address(), &key()).max_message(4_096);
    let client = client.connect().await.unwrap();
    let texts = manager.queue::<String>("texts");
    for number in 0..40 {
        texts.put(&number.to_string().repeat(500)).await.unwrap();
    }
    let texts = client.queue::<String>("texts");
    let mut got = Vec::new();
    while got.len() < 40 {
        got.extend(soon(texts.get_many(40)).await.unwrap());
    }
    let all: Vec<_> = (0..40)
        .map(|number| number.to_string().repeat(500))
        .collect();
    assert_eq!(got, all);
}
