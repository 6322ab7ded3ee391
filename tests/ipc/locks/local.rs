//! On the loop that carries them.

use coreloop::ipc::{Barrier, Event, Mutex, Semaphore};
use coreloop::spawn;
use coreloop_test_support::meeting::soon;

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
