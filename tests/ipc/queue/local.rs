//! On the loop that carries the queue.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

use coreloop::ipc::{Lease, Queue};
use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop_test_support::panics::recorded;
use futures_lite::future::poll_once;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

async fn filled(capacity: usize, items: u64) -> Queue<u64> {
    let queue = Queue::new(capacity).unwrap();
    assert_eq!(
        queue.send_all(0..items).await.unwrap(),
        usize::try_from(items).unwrap()
    );
    queue
}

async fn lease(queue: &Queue<u64>) -> Lease<u64> {
    queue.lease().await.unwrap().unwrap()
}

#[coreloop::test]
async fn items_come_in_order_and_send_waits_for_room() {
    let queue = Queue::new(3).unwrap();
    let sender = queue.clone();
    let sending = spawn(async move {
        for item in 0..100_u64 {
            sender.send(item).await.unwrap();
            assert!(sender.unconfirmed().await.unwrap() <= 3);
        }
    });
    for item in 0..100 {
        assert_eq!(queue.recv().await.unwrap(), Some(item));
    }
    sending.await.unwrap();
    assert!(queue.is_empty().await.unwrap());
    assert_eq!(queue.capacity(), 3);
}

#[coreloop::test]
async fn operations_that_do_not_wait_say_so() {
    let queue = filled(2, 2).await;
    let error = queue.try_send(7).await.unwrap_err();
    assert!(error.error().is_full(), "{error}");
    assert_eq!(error.into_value(), 7);
    assert!(queue.blocking_try_send(8).unwrap_err().error().is_full());
    assert_eq!(queue.try_recv().await.unwrap(), Some(0));
    assert_eq!(queue.blocking_try_recv().unwrap(), Some(1));
    let error = queue.try_recv().await.unwrap_err();
    assert!(error.is_empty(), "{error}");
    assert!(queue.try_lease().await.unwrap_err().is_empty());
    assert!(queue.blocking_try_lease().unwrap_err().is_empty());
    queue.try_send(9).await.unwrap();
    assert_eq!(queue.try_lease().await.unwrap().unwrap().ack(), 9);
}

#[coreloop::test]
async fn a_time_limit_ends_the_wait_and_leaves_nothing() {
    let queue = filled(1, 1).await;
    let error = queue.send_timeout(7, SHORT).await.unwrap_err();
    assert!(error.error().is_timeout(), "{error}");
    assert_eq!(error.into_value(), 7);
    assert_eq!(queue.recv_timeout(LONG).await.unwrap(), Some(0));
    assert!(queue.recv_timeout(SHORT).await.unwrap_err().is_timeout());
    assert!(queue.lease_timeout(SHORT).await.unwrap_err().is_timeout());
    queue.send_timeout(8, LONG).await.unwrap();
    assert!(queue.join_timeout(SHORT).await.unwrap_err().is_timeout());
    assert_eq!(queue.recv().await.unwrap(), Some(8));
    queue.join_timeout(LONG).await.unwrap();
}

#[coreloop::test]
async fn a_blocking_operation_on_the_loop_of_the_queue_is_an_error_instead_of_a_deadlock() {
    let queue = filled(1, 0).await;
    assert!(queue.blocking_recv().unwrap_err().is_deadlock());
    assert!(queue.blocking_lease().unwrap_err().is_deadlock());
    queue.blocking_send(1).unwrap();
    let error = queue.blocking_send(2).unwrap_err();
    assert!(error.error().is_deadlock(), "{error}");
    assert!(queue.blocking_join().unwrap_err().is_deadlock());
    assert_eq!(queue.blocking_len().unwrap(), 1);
    assert_eq!(queue.blocking_recv().unwrap(), Some(1));
    queue.blocking_join().unwrap();
    queue.blocking_close().unwrap();
    assert_eq!(queue.blocking_recv().unwrap(), None);
}

#[coreloop::test]
async fn a_closed_queue_refuses_items_and_gives_the_ones_that_are_left() {
    let queue = filled(2, 2).await;
    let mut waiting = pin!(queue.send(2));
    assert!(poll_once(&mut waiting).await.is_none());
    queue.close().await.unwrap();
    let error = waiting.await.unwrap_err();
    assert!(error.error().is_closed(), "{error}");
    assert_eq!(error.into_parts().0, 2);
    assert!(queue.send(3).await.unwrap_err().error().is_closed());
    assert_eq!(queue.recv().await.unwrap(), Some(0));
    let leased = lease(&queue).await;
    // It may come back.
    let mut receiving = pin!(queue.recv());
    assert!(poll_once(&mut receiving).await.is_none());
    drop(leased);
    assert_eq!(receiving.await.unwrap(), Some(1));
    assert_eq!(queue.recv().await.unwrap(), None);
    assert!(queue.lease().await.unwrap().is_none());
    assert!(queue.try_recv().await.unwrap().is_none());
    queue.close().await.unwrap();
}

#[coreloop::test]
async fn a_cancelled_receive_loses_nothing() {
    let queue = Queue::new(10).unwrap();
    {
        let mut one = pin!(queue.recv());
        let mut other = pin!(queue.lease());
        assert!(poll_once(&mut one).await.is_none());
        assert!(poll_once(&mut other).await.is_none());
        // Both are granted, and neither is polled again.
        queue.send_all(0..3_u64).await.unwrap();
    }
    for item in 0..3 {
        let lease = lease(&queue).await;
        assert_eq!((*lease, lease.deliveries()), (item, 0));
        lease.ack();
    }
}

#[coreloop::test]
async fn a_cancelled_send_leaves_nothing_or_the_whole_item() {
    let queue = filled(1, 1).await;
    {
        let mut sending = pin!(queue.send(7));
        assert!(poll_once(&mut sending).await.is_none());
    }
    let mut sending = pin!(queue.send(8));
    assert!(poll_once(&mut sending).await.is_none());
    assert_eq!(queue.recv().await.unwrap(), Some(0));
    sending.await.unwrap();
    assert_eq!(queue.recv().await.unwrap(), Some(8));
    assert!(queue.is_empty().await.unwrap());
}

#[coreloop::test]
async fn leases_come_back_in_front_and_in_order() {
    let queue = filled(10, 4).await;
    let (first, second, third) = (
        lease(&queue).await,
        lease(&queue).await,
        lease(&queue).await,
    );
    drop(third);
    first.nack();
    assert_eq!(second.ack(), 1);
    for (item, deliveries) in [(0, 1), (2, 1), (3, 0)] {
        let lease = lease(&queue).await;
        assert_eq!((*lease, lease.deliveries()), (item, deliveries));
        lease.ack();
    }
}

#[coreloop::test]
async fn a_panic_gives_a_lease_back() {
    let queue = filled(10, 1).await;
    let leased = lease(&queue).await;
    let (result, _) = recorded(|| {
        catch_unwind(AssertUnwindSafe(move || {
            let _leased = leased;
            panic!("work");
        }))
    });
    assert!(result.is_err());
    assert_eq!(lease(&queue).await.deliveries(), 1);
}

#[coreloop::test]
async fn join_waits_for_all_confirmations() {
    let queue = filled(10, 2).await;
    let leased = lease(&queue).await;
    let mut joining = pin!(queue.join());
    assert!(poll_once(&mut joining).await.is_none());
    assert_eq!(queue.recv().await.unwrap(), Some(1));
    assert!(poll_once(&mut joining).await.is_none());
    leased.ack();
    joining.await.unwrap();
    queue.join().await.unwrap();
}

#[coreloop::test]
async fn tasks_get_items_in_the_order_in_which_they_wait() {
    let queue = Queue::new(10).unwrap();
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let queue = queue.clone();
            spawn(async move { queue.recv().await.unwrap() })
        })
        .collect();
    yield_now().await;
    queue.send_all(0..5_u64).await.unwrap();
    for (item, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), Some(item));
    }
}

#[coreloop::test]
async fn items_that_are_too_long_are_returned() {
    let queue = Queue::builder(10).max_message(10).build().unwrap();
    let error = queue.send("a".repeat(10)).await.unwrap_err();
    assert!(error.error().is_codec(), "{error}");
    assert!(error.to_string().contains("at most 10"), "{error}");
    assert_eq!(error.into_value().len(), 10);
    queue.send("a".repeat(9)).await.unwrap();
    assert_eq!(queue.recv().await.unwrap(), Some("a".repeat(9)));
}

#[coreloop::test]
async fn the_first_item_that_is_not_sent_ends_a_batch() {
    let queue = Queue::builder(10).max_message(10).build().unwrap();
    let mut items = [1, 2, 20, 3].into_iter().map(|length| "a".repeat(length));
    let error = queue.send_all(&mut items).await.unwrap_err();
    assert_eq!(error.into_value().len(), 20);
    assert_eq!(queue.send_all(items).await.unwrap(), 1);
    for length in [1, 2, 3] {
        assert_eq!(queue.recv().await.unwrap().unwrap().len(), length);
    }
}

#[coreloop::test]
async fn an_item_that_does_not_decode_concerns_only_itself() {
    let texts = Queue::<String>::new(10).unwrap();
    let bytes = rmp_serde::to_vec(&texts).unwrap();
    let numbers: Queue<Vec<u8>> = rmp_serde::from_slice(&bytes).unwrap();
    numbers.send(vec![0xff]).await.unwrap();
    numbers.send(vec![0xff]).await.unwrap();
    texts.send("text".to_owned()).await.unwrap();
    let error = texts.recv().await.unwrap_err();
    assert!(error.is_codec(), "{error}");
    assert!(texts.lease().await.unwrap_err().is_codec());
    assert_eq!(texts.recv().await.unwrap(), Some("text".to_owned()));
    texts.join().await.unwrap();
}

#[coreloop::test]
async fn a_decoded_handle_does_not_keep_the_queue() {
    let owner = Queue::<u64>::new(10).unwrap();
    let bytes = rmp_serde::to_vec(&owner).unwrap();
    let other: Queue<u64> = rmp_serde::from_slice(&bytes).unwrap();
    let clone = owner.clone();
    let mut receiving = pin!(other.recv());
    let mut joining = pin!(other.join());
    other.send(1).await.unwrap();
    assert_eq!(receiving.as_mut().await.unwrap(), Some(1));
    receiving.set(other.recv());
    assert!(poll_once(&mut receiving).await.is_none());
    joining.as_mut().await.unwrap();
    drop(owner);
    assert!(poll_once(&mut receiving).await.is_none());
    drop(clone);
    let error = receiving.await.unwrap_err();
    assert!(error.is_closed(), "{error}");
    assert!(other.send(1).await.unwrap_err().error().is_closed());
    assert!(other.len().await.unwrap_err().is_closed());
}

#[coreloop::test]
async fn a_queue_needs_a_capacity() {
    let error = Queue::<u8>::new(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
