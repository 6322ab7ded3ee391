//! On the loop that carries them.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Waker};

use coreloop::ipc::{Barrier, Event, Mutex, Semaphore};
use coreloop::spawn;
use coreloop_test_support::meeting::soon;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::wakers::{panicking_waker, with_hook};

use super::poll_once;

#[coreloop::test]
async fn a_mutex_is_granted_in_order() {
    let lock = Mutex::new().unwrap();
    let guard = lock.lock().await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let lock = lock.clone();
        waiting.push(spawn(async move { lock.lock().await.unwrap().fencing() }));
    }
    coreloop::task::yield_now().await;
    assert!(lock.try_lock().await.unwrap().is_none());
    drop(guard);
    for (waiting, fencing) in waiting.into_iter().zip(2..) {
        assert_eq!(soon(waiting).await.unwrap(), fencing);
    }
}

#[coreloop::test]
async fn a_blocking_operation_that_would_never_complete_is_an_error() {
    let lock = Mutex::new().unwrap();
    let guard = lock.blocking_lock().unwrap();
    let error = lock.blocking_lock().unwrap_err().into_guard().unwrap_err();
    assert!(error.is_deadlock(), "{error}");
    drop(guard);
    drop(lock.blocking_lock().unwrap());
    let event = Event::new().unwrap();
    assert!(event.blocking_wait().unwrap_err().is_deadlock());
    event.blocking_set().unwrap();
    event.blocking_wait().unwrap();
    let permits = Semaphore::new(0).unwrap();
    assert!(permits.blocking_acquire().unwrap_err().is_deadlock());
    let barrier = Barrier::new(2).unwrap();
    assert!(barrier.blocking_wait().unwrap_err().is_deadlock());
}

/// Wakers are called when the broker is consistent, and may use it.
#[coreloop::test]
async fn a_waker_may_use_the_objects_and_may_panic() {
    let (event, lock) = (Event::new().unwrap(), Mutex::new().unwrap());
    let count = Rc::new(Cell::new(0));
    let (inner, inside) = (lock.clone(), Rc::clone(&count));
    let hook = move || {
        let guard = inner.blocking_lock().unwrap();
        inside.set(inside.get() + guard.fencing());
    };
    let mut first = pin!(event.wait());
    let mut second = pin!(event.wait());
    let mut third = pin!(event.wait());
    with_hook(hook, |waker| {
        let poll = |future: Pin<&mut dyn Future<Output = _>>, waker: &Waker| {
            let polled = future.poll(&mut Context::from_waker(waker));
            assert!(polled.is_pending());
        };
        poll(first.as_mut(), &waker());
        poll(second.as_mut(), &panicking_waker());
        poll(third.as_mut(), &waker());
        let ((), panics) = recorded(|| event.blocking_set().unwrap());
        assert_eq!(panics.len(), 1);
    });
    assert!(count.get() >= 3);
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    soon(third).await.unwrap();
}

#[coreloop::test]
async fn a_dropped_future_gives_back_what_it_was_granted() {
    let lock = Mutex::new().unwrap();
    let guard = lock.lock().await.unwrap();
    let mut first = Box::pin(lock.lock());
    assert!(poll_once(first.as_mut()).is_pending());
    let mut second = pin!(lock.lock());
    assert!(poll_once(second.as_mut()).is_pending());
    // The first is granted the lock, and never polled again.
    drop(guard);
    assert!(poll_once(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(soon(second).await.unwrap().fencing(), 3);
}

#[test]
fn handles_can_be_sent_to_other_threads() {
    fn assert_shared<T: Clone + Send + Sync + 'static>() {}

    assert_shared::<Mutex>();
    assert_shared::<Semaphore>();
    assert_shared::<Event>();
    assert_shared::<Barrier>();
}
