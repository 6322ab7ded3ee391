//! How much memory locks and channels keep when they are idle, and what they allocate while
//! they are in use.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::sync::{
    CancellationToken, LifoQueue, Mutex, Notify, PriorityQueue, Queue, RwLock, Semaphore,
    broadcast, mpsc, watch,
};
use coreloop::time::timeout;
use coreloop_test_support::allocator::{allocations, live_bytes};
use futures_util::StreamExt;

/// The maximum number of bytes that an idle channel or lock may keep.
const A_FEW_KILOBYTES: usize = 5 << 10;

/// Returns by how many bytes memory grows while `work` runs.
fn kept(work: impl FnOnce()) -> usize {
    let before = live_bytes();
    work();
    live_bytes().saturating_sub(before)
}

/// The number of values of this size in a megabyte.
fn burst<const SIZE: usize>() -> usize {
    (1 << 20) / SIZE
}

/// A name, and a function that receives all values of a channel that has a number of values.
type Way<T> = (&'static str, fn(&mut mpsc::Receiver<T>, usize));

/// Ways to receive all values of a channel.
fn empty_ways<T>() -> [Way<T>; 7] {
    [
        ("recv, as often as there are values", |receiver, count| {
            for _ in 0..count {
                assert!(poll_now(receiver.recv()).is_some());
            }
        }),
        ("recv, until there is none", |receiver, _| {
            while let Poll::Ready(value) = poll_once(receiver.recv()) {
                assert!(value.is_some());
            }
        }),
        ("recv_many", |receiver, count| {
            let mut buffer = Vec::new();
            assert_eq!(poll_now(receiver.recv_many(&mut buffer, count)), count);
        }),
        ("poll_recv_many", |receiver, count| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut buffer = Vec::new();
            for _ in 0..2 {
                assert!(
                    receiver
                        .poll_recv_many(&mut cx, &mut buffer, count / 2)
                        .is_ready()
                );
            }
        }),
        ("try_recv", |receiver, count| {
            for _ in 0..count {
                assert!(receiver.try_recv().is_ok());
            }
        }),
        ("the stream", |receiver, count| {
            for _ in 0..count {
                assert!(poll_now(receiver.next()).is_some());
            }
        }),
        ("close, and recv until the end", |receiver, _| {
            receiver.close();
            while poll_now(receiver.recv()).is_some() {}
        }),
    ]
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_now<F: Future>(future: F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("pending"),
    }
}

fn an_empty_channel_keeps_little<const SIZE: usize>() {
    for (way, empty) in empty_ways::<[u8; SIZE]>() {
        let count = burst::<SIZE>();
        let (sender, mut receiver) = mpsc::channel(count);
        let kept = kept(|| {
            for _ in 0..count {
                sender.try_send([0; SIZE]).unwrap();
            }
            empty(&mut receiver, count);
        });
        assert!(
            kept <= A_FEW_KILOBYTES,
            "{kept} bytes, of {SIZE} each, by {way}"
        );
    }
    let count = burst::<SIZE>();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let kept = kept(|| {
        for _ in 0..count {
            sender.send([0; SIZE]).unwrap();
        }
        for _ in 0..count / 2 {
            receiver.try_recv().unwrap();
        }
        let mut buffer = Vec::new();
        assert_eq!(poll_now(receiver.recv_many(&mut buffer, count)), count / 2);
    });
    assert!(
        kept <= A_FEW_KILOBYTES,
        "{kept} bytes, of {SIZE} each, unbounded"
    );
}

#[test]
fn an_empty_channel_keeps_a_few_kilobytes_whatever_its_values() {
    an_empty_channel_keeps_little::<8>();
    an_empty_channel_keeps_little::<256>();
    an_empty_channel_keeps_little::<4096>();
    an_empty_channel_keeps_little::<16384>();
}

fn an_empty_queue_keeps_little<T: Ord>(new: impl Fn() -> T, count: usize) {
    /// Takes all items out of a queue.
    fn empty<T>(queue: &Queue<T>, way: usize) {
        match way {
            0 => while queue.try_get().is_ok() {},
            1 => {
                for _ in 0..queue.len() {
                    assert!(poll_now(queue.get()).is_ok());
                }
            }
            _ => queue.shutdown(true),
        }
    }
    for way in 0..3 {
        let (fifo, lifo) = (Queue::new(0), LifoQueue::new(0));
        let priority = PriorityQueue::new(0);
        for queue in [&fifo, &lifo, &priority] as [&Queue<T>; 3] {
            let kept = kept(|| {
                for _ in 0..count {
                    queue.try_put(new()).unwrap();
                }
                empty(queue, way);
            });
            assert!(kept <= A_FEW_KILOBYTES, "{kept} bytes by way {way}");
        }
    }
}

#[test]
fn an_empty_queue_keeps_a_few_kilobytes_whatever_its_order() {
    an_empty_queue_keeps_little(|| 1_u64, 1 << 17);
    an_empty_queue_keeps_little(|| [1_u8; 1000], 1 << 10);
}

#[test]
fn a_broadcast_channel_without_unseen_values_keeps_a_few_kilobytes() {
    let value = [1_u8; 256];
    let count = 1 << 12;
    for way in 0..5 {
        let (sender, mut receiver) = broadcast::channel(count);
        let mut second = sender.subscribe();
        let kept = kept(|| {
            for _ in 0..count + 3 {
                sender.send(value).unwrap();
            }
            match way {
                0 => {
                    while !matches!(
                        receiver.try_recv(),
                        Err(broadcast::error::TryRecvError::Empty)
                    ) {}
                    while !matches!(
                        second.try_recv(),
                        Err(broadcast::error::TryRecvError::Empty)
                    ) {}
                }
                1 => {
                    while poll_once(receiver.recv()).is_ready() {}
                    drop(second);
                }
                2 => {
                    drop(second);
                    while poll_once(receiver.recv()).is_ready() {}
                }
                3 => {
                    while poll_once(second.next()).is_ready() {}
                    drop(receiver);
                }
                _ => drop((receiver, second)),
            }
        });
        assert!(kept <= A_FEW_KILOBYTES, "{kept} bytes by way {way}");
        assert_eq!(sender.len(), 0);
    }
}

/// Begins ten thousand waits at the same time, and ends all of them: by dropping them, and
/// through `end`.
fn many_waits_leave_little_memory<F: Future>(name: &str, wait: impl Fn() -> F, end: impl Fn()) {
    for dropped in [true, false] {
        let kept = kept(|| {
            let mut waits: Vec<_> = (0..10_000).map(|_| Box::pin(wait())).collect();
            let mut cx = Context::from_waker(Waker::noop());
            for wait in &mut waits {
                assert!(wait.as_mut().poll(&mut cx).is_pending());
            }
            if !dropped {
                end();
                for wait in &mut waits {
                    assert!(wait.as_mut().poll(&mut cx).is_ready());
                }
            }
        });
        assert!(
            kept <= A_FEW_KILOBYTES,
            "{kept} bytes after many waits for {name}"
        );
    }
}

#[test]
fn the_queue_of_a_lock_keeps_a_few_kilobytes_after_many_waits() {
    let mutex = Mutex::new(());
    let held = std::cell::Cell::new(Some(mutex.try_lock().unwrap()));
    many_waits_leave_little_memory(
        "a mutex",
        || async { drop(mutex.lock().await) },
        || drop(held.take()),
    );
    let lock = RwLock::new(());
    let held = std::cell::Cell::new(Some(lock.try_write().unwrap()));
    many_waits_leave_little_memory(
        "a lock",
        || async { drop(lock.read().await) },
        || drop(held.take()),
    );
    let semaphore = Semaphore::new(0);
    let acquire = || async { semaphore.acquire().await.unwrap().forget() };
    many_waits_leave_little_memory("a semaphore", acquire, || semaphore.add_permits(10_000));
    let notify = Notify::new();
    many_waits_leave_little_memory(
        "a notification",
        || notify.notified(),
        || notify.notify_waiters(),
    );
    let token = CancellationToken::new();
    many_waits_leave_little_memory("a token", || token.cancelled(), || token.cancel());
}

#[test]
fn the_queues_of_a_channel_keep_a_few_kilobytes_after_many_waits() {
    let (sender, receiver) = mpsc::channel::<u8>(1);
    sender.try_send(1).unwrap();
    let receiver = std::cell::Cell::new(Some(receiver));
    let send = || async { sender.send(2).await.unwrap_err() };
    many_waits_leave_little_memory("a channel", send, || drop(receiver.take()));
    let queue = Queue::<u8>::new(0);
    let get = || async { queue.get().await.unwrap_err() };
    many_waits_leave_little_memory("a queue", get, || queue.shutdown(false));

    let (sender, receiver) = watch::channel(1);
    let changed = || {
        let mut receiver = receiver.clone();
        async move { receiver.changed().await.unwrap() }
    };
    many_waits_leave_little_memory("a watched value", changed, || sender.send(2).unwrap());
    let (sender, receiver) = broadcast::channel(1);
    let receive = || {
        let mut receiver = receiver.resubscribe();
        async move { receiver.recv().await.unwrap() }
    };
    let send = || assert!(sender.send(1).is_ok());
    many_waits_leave_little_memory("a broadcast", receive, send);
}

#[test]
fn a_token_keeps_a_few_kilobytes_after_many_children() {
    let token = CancellationToken::new();
    let first = token.child_token();
    let kept = kept(|| {
        let children: Vec<_> = (0..100_000).map(|_| token.child_token()).collect();
        drop(children);
    });
    assert!(kept <= A_FEW_KILOBYTES, "{kept} bytes");
    token.cancel();
    assert!(first.is_cancelled());
}

/// A channel that is filled and emptied again and again does not allocate, once it has grown.
#[test]
fn small_bursts_do_not_allocate() {
    /// Returns how often `round` allocates after the first three times.
    fn allocated(mut round: impl FnMut()) -> u64 {
        for _ in 0..3 {
            round();
        }
        let before = allocations();
        for _ in 0..100 {
            round();
        }
        allocations() - before
    }

    let value = [1_u64; 8];
    let (sender, mut receiver) = mpsc::channel(32);
    let mut buffer = Vec::with_capacity(32);
    for way in 0..3 {
        let bursts = allocated(|| {
            for _ in 0..32 {
                sender.try_send(value).unwrap();
            }
            match way {
                0 => while receiver.try_recv().is_ok() {},
                1 => while poll_once(receiver.recv()).is_ready() {},
                _ => {
                    buffer.clear();
                    assert_eq!(poll_now(receiver.recv_many(&mut buffer, 32)), 32);
                }
            }
        });
        assert_eq!(bursts, 0, "by way {way}");
    }
    let queue = Queue::new(0);
    let priority = PriorityQueue::new(0);
    for queue in [&queue, &priority] as [&Queue<_>; 2] {
        let bursts = allocated(|| {
            for _ in 0..16 {
                queue.try_put(value).unwrap();
            }
            while queue.try_get().is_ok() {}
        });
        assert_eq!(bursts, 0);
    }
    for capacity in [8, 1000] {
        let (sender, mut receiver) = broadcast::channel(capacity);
        let mut second = sender.subscribe();
        let bursts = allocated(|| {
            for _ in 0..8 {
                sender.send(value).unwrap();
            }
            while receiver.try_recv().is_ok() {}
            while second.try_recv().is_ok() {}
        });
        assert_eq!(bursts, 0, "with room for {capacity}");
    }
}

/// A task waits for a value, and finishes with the receiver as its output. The receiver keeps
/// no memory of the task.
#[coreloop::test(start_paused = true)]
async fn a_receiver_keeps_no_memory_of_the_task_that_last_waited() {
    const FUTURE: usize = 16 << 10;
    let mut receivers = Vec::with_capacity(100);
    let mut senders = Vec::with_capacity(100);
    let before = live_bytes();
    for _ in 0..100 {
        let (sender, mut receiver) = mpsc::channel::<u8>(1);
        let task = coreloop::spawn(async move {
            let large = [1_u8; FUTURE];
            let limit = Duration::from_secs(1);
            assert!(timeout(limit, receiver.recv()).await.is_err());
            let mut buffer = Vec::new();
            let many = receiver.recv_many(&mut buffer, 1);
            assert!(timeout(limit, many).await.is_err());
            std::hint::black_box(large);
            receiver
        });
        receivers.push(task.await.unwrap());
        senders.push(sender);
    }
    let kept = live_bytes().saturating_sub(before);
    assert!(kept <= 100 << 10, "{kept} bytes for 100 channels");
}
