//! A wait that is dropped leaves no waker behind, because a waker keeps the memory of its
//! task, which may have finished long before.

use std::pin::pin;
use std::rc::Rc;

use coreloop::sync::{
    Barrier, CancellationToken, Condvar, Event, Mutex, Notify, OnceCell, Queue, RwLock, Semaphore,
    SetOnce, broadcast, mpsc, oneshot, watch,
};
use coreloop_test_support::waiter::Waiter;

/// Begins each wait and drops it, which must leave no waker: once after a first poll, and once
/// after another poll with another waker.
macro_rules! check {
    ($($future:expr),* $(,)?) => {
        $(
            for polls in [1, 2] {
                let mut waiter = Waiter::new($future);
                for _ in 0..polls {
                    assert!(waiter.poll_afresh().is_pending());
                }
                assert!(waiter.is_registered(), "it waits: {}", stringify!($future));
                waiter.cancel();
            }
        )*
    };
}

#[test]
fn waits_for_locks_and_signals_leave_no_waker() {
    let mutex = Rc::new(Mutex::new(()));
    let _held = mutex.try_lock().unwrap();
    check!(mutex.lock(), Rc::clone(&mutex).lock_owned());
    let lock = Rc::new(RwLock::new(()));
    let _held = lock.try_write().unwrap();
    check!(lock.read(), lock.write());
    check!(
        Rc::clone(&lock).read_owned(),
        Rc::clone(&lock).write_owned()
    );
    let semaphore = Rc::new(Semaphore::new(0));
    check!(
        semaphore.acquire(),
        Rc::clone(&semaphore).acquire_many_owned(2)
    );
    let cell = OnceCell::<u8>::new();
    let mut makes = Waiter::new(cell.get_or_init(std::future::pending));
    assert!(makes.poll().is_pending());
    check!(cell.get_or_init(async || 1));
    let notify = Rc::new(Notify::new());
    check!(notify.notified(), Rc::clone(&notify).notified_owned());
    let (barrier, event, value) = (Barrier::new(2), Event::new(), SetOnce::<u8>::new());
    check!(barrier.wait(), event.wait(), value.wait());
    let (free, condvar) = (Mutex::new(()), Condvar::new());
    check!(condvar.wait(free.try_lock().unwrap()));
    let token = CancellationToken::new();
    check!(token.cancelled(), token.clone().cancelled_owned());
    check!(token.run_until_cancelled(std::future::pending::<()>()));
}

#[test]
fn waits_at_channels_leave_no_waker() {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    sender.try_send(1).unwrap();
    check!(sender.send(2), sender.reserve(), sender.reserve_many(1));
    check!(sender.clone().reserve_owned(), sender.closed());
    receiver.try_recv().unwrap();
    let mut buffer = Vec::new();
    check!(receiver.recv(), receiver.recv_many(&mut buffer, 2));

    let (sender, mut receiver) = mpsc::unbounded_channel::<u8>();
    check!(sender.closed(), receiver.recv());
    check!(receiver.recv_many(&mut buffer, 2));

    let (mut sender, receiver) = oneshot::channel::<u8>();
    check!(sender.closed());
    drop(receiver);
    let mut senders = Vec::new();
    check!({
        let (sender, receiver) = oneshot::channel::<u8>();
        senders.push(sender);
        receiver
    });

    let (sender, mut receiver) = watch::channel(1);
    check!(
        receiver.changed(),
        receiver.wait_for(|value| *value == 2),
        sender.closed()
    );

    let (sender, mut receiver) = broadcast::channel::<u8>(1);
    check!(receiver.recv(), sender.closed());

    let queue = Queue::new(1);
    check!(queue.get());
    queue.try_put(1).unwrap();
    check!(queue.put(2), queue.join());
}

#[test]
fn a_wait_that_completed_leaves_no_waker() {
    let (sender, mut receiver) = mpsc::channel(1);
    for limit in [0, 1] {
        let mut buffer = Vec::new();
        let mut waiter = Waiter::new(async {
            if limit == 0 {
                receiver.recv().await.into_iter().count()
            } else {
                receiver.recv_many(&mut buffer, limit).await
            }
        });
        assert!(waiter.poll().is_pending());
        sender.try_send(1).unwrap();
        assert!(waiter.is_ready());
        waiter.cancel();
    }
    let mut last = pin!(receiver.recv());
    let mut waiter = Waiter::new(last.as_mut());
    assert!(waiter.poll().is_pending());
    drop(sender);
    assert!(waiter.is_ready());
    waiter.cancel();
}
