//! Processes that are killed while they send, receive or carry items.

use std::cell::RefCell;
use std::path::PathBuf;
use std::pin::pin;

use coreloop::ipc::Queue;
use coreloop::pool::Pool;
use coreloop_test_support::meeting::{Arrival, Meeting, Visit, soon};
use futures_lite::future::poll_once;
use rustix::process::{Signal, getpid, kill_process};
use serde_bytes::ByteBuf;

fn pool() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

fn kill(arrival: &Arrival) {
    kill_process(arrival.pid, Signal::KILL).unwrap();
}

/// Ends this process at once, whatever it has not written.
fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::hint::spin_loop();
    }
}

/// Receives what is left, with the number of its deliveries.
async fn rest(queue: &Queue<u64>) -> Vec<(u64, u32)> {
    let mut rest = Vec::new();
    queue.close().await.unwrap();
    while let Some(lease) = soon(queue.lease()).await.unwrap() {
        let deliveries = lease.deliveries();
        rest.push((lease.ack(), deliveries));
    }
    rest
}

#[coreloop::job]
async fn lease_three(queue: Queue<u64>, path: PathBuf) {
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(queue.lease().await.unwrap().unwrap());
    }
    leases.remove(1).ack();
    Visit::new(&path, "holder").unwrap().wait();
}

#[coreloop::test]
async fn the_items_of_a_killed_consumer_come_back_in_front_and_in_order() {
    let (pool, at) = (pool(), Meeting::new());
    let queue = Queue::new(100).unwrap();
    queue.send_all(0..10).await.unwrap();
    let job = pool.submit(lease_three, (queue.clone(), at.path()));
    let job = job.await.unwrap();
    let holder = at.arrival().await;
    // What it has not begun with can be had while it lives.
    assert_eq!(queue.recv().await.unwrap(), Some(3));
    kill(&holder);
    assert!(soon(job).await.unwrap_err().is_broken_worker());
    let mut expected = vec![(0, 1), (2, 1)];
    expected.extend((4..10).map(|item| (item, 0)));
    // The dispatcher of the pool may know of the death before the queue does.
    let first = loop {
        let lease = soon(queue.lease()).await.unwrap().unwrap();
        if lease.deliveries() > 0 {
            break lease;
        }
        lease.nack();
        coreloop::task::yield_now().await;
    };
    first.nack();
    let came: Vec<_> = rest(&queue).await;
    let items: Vec<_> = came.iter().map(|(item, _)| *item).collect();
    assert_eq!(
        items,
        expected.iter().map(|(item, _)| *item).collect::<Vec<_>>()
    );
    assert!(came[0].1 >= 1 && came[1].1 >= 1, "{came:?}");
}

/// Closes its connection, and lives on with its leases.
#[coreloop::job]
async fn lease_without_connection(queue: Queue<u64>, path: PathBuf) {
    let first = queue.lease().await.unwrap().unwrap();
    let _second = queue.lease().await.unwrap().unwrap();
    coreloop::ipc::__disconnect();
    Visit::new(&path, "holder").unwrap().wait();
    // This counts still, because it is not said by a message.
    first.ack();
    Visit::new(&path, "acked").unwrap().wait();
}

#[coreloop::test]
async fn leases_end_with_their_process_and_not_with_its_connection() {
    let (pool, at) = (pool(), Meeting::new());
    let queue = Queue::new(100).unwrap();
    queue.send_all(0..4).await.unwrap();
    let job = pool.submit(lease_without_connection, (queue.clone(), at.path()));
    let job = job.await.unwrap();
    let holder = at.arrival().await;
    for item in 2..4 {
        assert_eq!(soon(queue.recv()).await.unwrap(), Some(item));
    }
    assert!(queue.try_recv().await.unwrap_err().is_empty());
    assert_eq!(queue.unconfirmed().await.unwrap(), 2);
    let mut next = pin!(queue.lease());
    assert!(poll_once(&mut next).await.is_none());
    holder.release().await;
    let holder = at.arrival().await;
    assert!(poll_once(&mut next).await.is_none());
    kill(&holder);
    assert!(soon(job).await.unwrap_err().is_broken_worker());
    let second = soon(next).await.unwrap().unwrap();
    assert_eq!((*second, second.deliveries()), (1, 1));
    second.ack();
    soon(queue.join()).await.unwrap();
}

#[coreloop::job]
async fn receive_and_die(queue: Queue<u64>, count: u64) {
    for item in 0..count {
        assert_eq!(queue.recv().await.unwrap(), Some(item));
    }
    die();
}

#[coreloop::job]
fn receive_and_die_blocking(queue: Queue<u64>, count: u64) {
    for item in 0..count {
        assert_eq!(queue.blocking_recv().unwrap(), Some(item));
    }
    die();
}

#[coreloop::job]
async fn ack_and_die(queue: Queue<u64>, count: u64) {
    for item in 0..count {
        assert_eq!(queue.lease().await.unwrap().unwrap().ack(), item);
    }
    die();
}

#[coreloop::job]
async fn try_and_die(queue: Queue<u64>, count: u64) {
    for item in 0..count {
        assert_eq!(queue.try_recv().await.unwrap(), Some(item));
    }
    die();
}

#[coreloop::test]
async fn what_a_killed_consumer_had_confirmed_does_not_come_back() {
    for count in [1, 2, 30, 33, 64, 65] {
        for way in 0..4 {
            let pool = pool();
            let queue = Queue::new(100).unwrap();
            queue.send_all(0..100).await.unwrap();
            let arguments = (queue.clone(), count);
            let died = match way {
                0 => soon(pool.run(receive_and_die, arguments)).await,
                1 => soon(pool.run(receive_and_die_blocking, arguments)).await,
                2 => soon(pool.run(ack_and_die, arguments)).await,
                _ => soon(pool.run(try_and_die, arguments)).await,
            };
            let died = died.unwrap_err();
            assert!(died.is_broken_worker(), "{count}, {way}: {died}");
            let expected: Vec<_> = (count..100).map(|item| (item, 0)).collect();
            assert_eq!(rest(&queue).await, expected, "{count}, {way}");
        }
    }
}

#[coreloop::job]
async fn lease_and_die(queue: Queue<u64>) {
    let lease = queue.lease().await.unwrap().unwrap();
    if *lease < 3 {
        die();
    }
    lease.ack();
}

#[coreloop::test]
async fn an_item_that_kills_its_consumers_counts_its_deliveries() {
    let pool = pool();
    let queue = Queue::new(10).unwrap();
    queue.send(1).await.unwrap();
    for _ in 0..3 {
        let died = soon(pool.run(lease_and_die, queue.clone())).await;
        assert!(died.unwrap_err().is_broken_worker());
    }
    queue.send(3).await.unwrap();
    assert_eq!(rest(&queue).await, [(1, 3), (3, 0)]);
}

#[coreloop::job]
async fn send_and_die(queue: Queue<u64>, count: u64) {
    for item in 0..count {
        queue.send(item).await.unwrap();
    }
    die();
}

#[coreloop::job]
fn send_and_die_blocking(queue: Queue<u64>, count: u64) {
    for item in 0..count {
        queue.blocking_send(item).unwrap();
    }
    die();
}

#[coreloop::job]
async fn send_all_and_die(queue: Queue<u64>, count: u64) {
    queue.send_all(0..count).await.unwrap();
    die();
}

#[coreloop::test]
async fn what_a_killed_producer_had_sent_is_not_lost() {
    for count in [1, 2, 63, 64, 65, 500] {
        for way in 0..3 {
            let pool = pool();
            let queue = Queue::new(1000).unwrap();
            let arguments = (queue.clone(), count);
            let died = match way {
                0 => soon(pool.run(send_and_die, arguments)).await,
                1 => soon(pool.run(send_and_die_blocking, arguments)).await,
                _ => soon(pool.run(send_all_and_die, arguments)).await,
            };
            assert!(died.unwrap_err().is_broken_worker());
            let expected: Vec<_> = (0..count).map(|item| (item, 0)).collect();
            assert_eq!(rest(&queue).await, expected, "{count}, {way}");
        }
    }
}

/// Begins to send a large item, and does nothing more.
#[coreloop::job]
async fn send_a_part(queue: Queue<ByteBuf>, path: PathBuf) {
    queue.send(ByteBuf::from(vec![1; 10])).await.unwrap();
    let large = ByteBuf::from(vec![2; 30 << 20]);
    assert!(poll_once(queue.send(large)).await.is_none());
    Visit::new(&path, "sender").unwrap().wait();
}

#[coreloop::test]
async fn a_producer_that_is_killed_in_the_middle_of_an_item_leaves_none_of_it() {
    let (pool, at) = (pool(), Meeting::new());
    let queue = Queue::new(10).unwrap();
    let job = pool.submit(send_a_part, (queue.clone(), at.path()));
    let job = job.await.unwrap();
    let sender = at.arrival().await;
    kill(&sender);
    assert!(soon(job).await.unwrap_err().is_broken_worker());
    queue.send(ByteBuf::from(vec![3; 10])).await.unwrap();
    queue.close().await.unwrap();
    for byte in [1, 3] {
        let item = soon(queue.recv()).await.unwrap().unwrap();
        assert!(item.iter().eq([byte; 10].iter()));
    }
    assert!(soon(queue.recv()).await.unwrap().is_none());
}

#[coreloop::job]
async fn wait_for_room(queue: Queue<u64>, path: PathBuf) {
    let mut sending = pin!(queue.send(7));
    assert!(poll_once(&mut sending).await.is_none());
    // The queue answers this after it has read the request.
    queue.len().await.unwrap();
    Visit::new(&path, "sender").unwrap().wait();
}

#[coreloop::test]
async fn the_item_of_a_killed_producer_that_waited_for_room_is_not_sent() {
    let (pool, at) = (pool(), Meeting::new());
    let queue = Queue::new(1).unwrap();
    queue.send(0).await.unwrap();
    let job = pool.submit(wait_for_room, (queue.clone(), at.path()));
    let job = job.await.unwrap();
    let sender = at.arrival().await;
    kill(&sender);
    assert!(soon(job).await.unwrap_err().is_broken_worker());
    // Its place in the line is not in the way of others.
    let mut sending = pin!(queue.send(1));
    assert!(poll_once(&mut sending).await.is_none());
    let mut came = Vec::new();
    loop {
        let item = soon(queue.recv()).await.unwrap().unwrap();
        if item != 7 {
            came.push(item);
        }
        if item == 1 {
            break;
        }
        poll_once(&mut sending).await;
    }
    assert_eq!(came, [0, 1]);
}

thread_local! {
    /// Keeps a queue in its process.
    static QUEUE: RefCell<Option<Queue<u64>>> = const { RefCell::new(None) };
}

#[coreloop::job]
async fn carry() -> Queue<u64> {
    let queue = Queue::new(2).unwrap();
    QUEUE.set(Some(queue.clone()));
    queue
}

#[coreloop::job]
async fn serve(path: PathBuf) {
    drop(Visit::new(&path, "serves").unwrap());
    std::future::pending::<()>().await;
}

#[coreloop::test]
async fn the_end_of_the_process_that_carries_a_queue_is_noticed() {
    let (pool, at) = (pool(), Meeting::new());
    let queue = soon(pool.run(carry, ())).await.unwrap();
    let serving = pool.submit(serve, at.path()).await.unwrap();
    let carrier = at.arrival().await;
    soon(queue.send_all(0..2)).await.unwrap();
    let lease = soon(queue.lease()).await.unwrap().unwrap();
    let mut sending = pin!(queue.send(2));
    assert!(poll_once(&mut sending).await.is_none());
    assert_eq!(soon(queue.recv()).await.unwrap(), Some(1));
    let mut receiving = pin!(queue.recv());
    let mut joining = pin!(queue.join());
    assert!(poll_once(&mut joining).await.is_none());
    let first = poll_once(&mut receiving).await;
    kill(&carrier);
    assert!(soon(serving).await.unwrap_err().is_broken_worker());
    if first.is_none() {
        // The item of the waiting send may have come before the end.
        let received = soon(receiving).await;
        assert!(received.is_ok() || received.unwrap_err().is_disconnected());
    }
    assert!(soon(joining).await.unwrap_err().is_disconnected());
    // Nothing listens there any more. What was received can be confirmed, which changes nothing.
    assert_eq!(lease.ack(), 0);
    assert!(soon(queue.recv()).await.unwrap_err().is_disconnected());
    let error = soon(queue.send(3)).await.unwrap_err();
    assert!(error.error().is_disconnected(), "{error}");
    assert_eq!(error.into_value(), 3);
}
