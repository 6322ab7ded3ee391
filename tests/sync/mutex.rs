//! `Mutex`: order, guards of each kind, and dropped requests.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use coreloop::sync::{MappedMutexGuard, Mutex, MutexGuard, OwnedMutexGuard, TryLockError};
use coreloop::task::yield_now;
use coreloop::time::{sleep, timeout};

use crate::permits_model::{self, Subject};
use coreloop_test_support::deadline::in_time;
use coreloop_test_support::waiter::{Waiter, ready};

impl Subject for Mutex<u8> {
    type Held<'a> = MutexGuard<'a, u8>;
    const PERMITS: usize = 1;
    const REQUESTS: &'static [usize] = &[1];

    async fn acquire(&self, _: usize) -> Option<MutexGuard<'_, u8>> {
        Some(self.lock().await)
    }

    fn try_acquire(&self, _: usize) -> Option<MutexGuard<'_, u8>> {
        self.try_lock().ok()
    }
}

#[test]
fn a_mutex_agrees_with_its_model() {
    permits_model::check(|| Mutex::new(0));
}

/// The same, with guards that contain the value.
struct Owned(Rc<Mutex<Box<u8>>>);

impl Subject for Owned {
    type Held<'a> = OwnedMutexGuard<Box<u8>>;
    const PERMITS: usize = 1;
    const REQUESTS: &'static [usize] = &[1];

    async fn acquire(&self, _: usize) -> Option<OwnedMutexGuard<Box<u8>>> {
        Some(Rc::clone(&self.0).lock_owned().await)
    }

    fn try_acquire(&self, _: usize) -> Option<OwnedMutexGuard<Box<u8>>> {
        Rc::clone(&self.0).try_lock_owned().ok()
    }
}

#[test]
fn owned_guards_agree_with_the_model() {
    permits_model::check(|| Owned(Rc::new(Mutex::new(Box::new(0)))));
}

#[test]
fn the_lock_is_granted_in_the_order_of_the_requests() {
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let mutex = Rc::clone(&mutex);
                coreloop::spawn(async move {
                    for round in 0..5 {
                        let mut guard = mutex.lock().await;
                        let length = guard.len();
                        yield_now().await;
                        assert_eq!(guard.len(), length);
                        guard.push((round, number));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let order = Rc::into_inner(mutex).unwrap().into_inner();
        assert_eq!(order.len(), 40);
        assert!(
            order.is_sorted(),
            "another task had the lock in between: {order:?}"
        );
    });
}

#[test]
fn try_lock_does_not_overtake_a_waiting_request() {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().unwrap();
    let mut next = Waiter::new(mutex.lock());
    assert!(!next.is_ready());
    drop(guard);
    assert_eq!(next.woken(), 1);
    let error: TryLockError = mutex.try_lock().unwrap_err();
    assert_eq!(error.to_string(), "operation would block");
    assert_eq!(format!("{error:?}"), "TryLockError(())");
    drop(ready(next.poll()));
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_request_may_be_dropped_in_each_state() {
    let mutex = Mutex::new(());
    // Not polled.
    drop(mutex.lock());
    let guard = mutex.try_lock().unwrap();
    // In the queue.
    let mut queued = Waiter::new(mutex.lock());
    let mut granted = Waiter::new(mutex.lock());
    let mut last = Waiter::new(mutex.lock());
    assert!(!queued.is_ready() && !granted.is_ready() && !last.is_ready());
    queued.cancel();
    // Granted: the lock is passed on.
    drop(guard);
    assert_eq!((granted.woken(), last.woken()), (1, 0));
    granted.cancel();
    assert_eq!(last.woken(), 1);
    // Ready: there is nothing to pass on.
    let guard = ready(last.poll());
    last.cancel();
    assert!(mutex.try_lock().is_err());
    drop(guard);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn polling_a_lock_after_completion_panics() {
    let mutex = Mutex::new(());
    let mut lock = Waiter::new(mutex.lock());
    drop(ready(lock.poll()));
    assert!(catch_unwind(AssertUnwindSafe(|| lock.is_ready())).is_err());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_panic_unlocks_and_poisons_nothing() {
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(1));
        for owned in [false, true] {
            let task = coreloop::spawn({
                let mutex = Rc::clone(&mutex);
                async move {
                    if owned {
                        *mutex.lock_owned().await += 1;
                    } else {
                        let mut guard = mutex.lock().await;
                        *guard += 1;
                        panic!("with the lock");
                    }
                }
            });
            assert_eq!(task.await.is_err(), !owned);
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = Rc::clone(&mutex).try_lock_owned().unwrap();
            *guard += 1;
            panic!("with the value");
        }));
        assert!(result.is_err());
        assert_eq!(*mutex.lock().await, 4);
    });
}

#[test]
fn guards_are_mapped() {
    let mutex = Mutex::new((1, Some(2)));
    let guard = mutex.try_lock().unwrap();
    assert!(std::ptr::eq(MutexGuard::mutex(&guard), &raw const mutex));
    let mut first = MutexGuard::map(guard, |pair| &mut pair.0);
    *first += 10;
    assert!(mutex.try_lock().is_err());
    drop(first);

    let guard = mutex.try_lock().unwrap();
    let mut second = MutexGuard::try_map(guard, |pair| pair.1.as_mut()).unwrap();
    *second = 20;
    let same = MappedMutexGuard::try_map(second, |_| None::<&mut ()>).unwrap_err();
    let mapped = MappedMutexGuard::map(same, |number| number);
    assert_eq!(
        (format!("{mapped}"), format!("{mapped:?}")),
        ("20".into(), "20".into())
    );
    drop(mapped);

    let mut guard = mutex.try_lock().unwrap();
    assert_eq!(*guard, (11, Some(20)));
    guard.1 = None;
    let guard = MutexGuard::try_map(guard, |pair| pair.1.as_mut()).unwrap_err();
    assert_eq!(guard.1, None);
}

#[test]
fn a_part_that_panics_unlocks() {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().unwrap();
    let mapped = catch_unwind(AssertUnwindSafe(|| {
        MutexGuard::map(guard, |_| -> &mut () { panic!("no part") })
    }));
    assert!(mapped.is_err());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn the_value_is_in_the_mutex_after_each_kind_of_guard() {
    let mutex = Rc::new(Mutex::new(String::from("a")));
    let mut guard = Rc::clone(&mutex).try_lock_owned().unwrap();
    assert!(Rc::ptr_eq(OwnedMutexGuard::mutex(&guard), &mutex));
    assert_eq!(format!("{mutex:?}"), "Mutex { data: <locked> }");
    guard.push('b');
    drop(guard);
    assert_eq!(format!("{mutex:?}"), "Mutex { data: \"ab\" }");
    mutex.try_lock().unwrap().push('c');
    let mut mutex = Rc::into_inner(mutex).unwrap();
    mutex.get_mut().push('d');
    assert_eq!(mutex.into_inner(), "abcd");
    assert_eq!(
        Mutex::<u8>::default().into_inner(),
        Mutex::from(0).into_inner()
    );
}

#[test]
fn an_owned_guard_outlives_every_other_handle() {
    let dropped = Rc::new(());
    let mutex = Rc::new(Mutex::new(Rc::clone(&dropped)));
    let guard = mutex.try_lock_owned().unwrap();
    assert_eq!(Rc::strong_count(&dropped), 2);
    drop(guard);
    assert_eq!(Rc::strong_count(&dropped), 1);
}

thread_local! {
    static MUTEX: Mutex<Option<Locks>> = const { Mutex::const_new(None) };
    static DROPS: Cell<u32> = const { Cell::new(0) };
}

/// A value that tries to lock its mutex when it is dropped.
struct Locks;

impl Drop for Locks {
    fn drop(&mut self) {
        MUTEX.with(|mutex| {
            assert!(
                mutex.try_lock().is_err(),
                "the code that drops the value holds the lock"
            );
            let mut waiter = Waiter::new(mutex.lock());
            assert!(!waiter.is_ready());
            waiter.cancel();
        });
        DROPS.set(DROPS.get() + 1);
    }
}

#[test]
fn the_destructor_of_the_value_may_use_the_mutex() {
    MUTEX.with(|mutex| {
        for _ in 0..3 {
            *mutex.try_lock().unwrap() = Some(Locks);
        }
        *mutex.try_lock().unwrap() = None;
    });
    assert_eq!(DROPS.get(), 3);
}

/// RFD 609, tokio #6450, async-lock #91: a task that has left a future behind
/// waits for the lock that was granted to this future.
#[test]
fn a_task_does_not_wait_for_a_lock_that_was_granted_to_it() {
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(()));
        let holder = coreloop::spawn({
            let mutex = Rc::clone(&mutex);
            async move {
                let _guard = mutex.lock().await;
                for _ in 0..5 {
                    yield_now().await;
                }
            }
        });
        yield_now().await;
        let mut left_behind = pin!(mutex.lock());
        poll_fn(|cx| {
            assert!(left_behind.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        // The holder's unlocking grants the lock to the future above, which is not polled.
        drop(mutex.lock().await);
        holder.await.unwrap();
        // No other request is left, so the lock is granted to the future above again.
        assert!(mutex.try_lock().is_err());
        drop(mutex.lock().await);
        drop(left_behind.await);
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn a_lock_granted_to_another_task_is_not_taken_over() {
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(()));
        let guard = mutex.lock().await;
        let other = coreloop::spawn({
            let mutex = Rc::clone(&mutex);
            async move { drop(mutex.lock().await) }
        });
        yield_now().await;
        drop(guard);
        let mut own = pin!(mutex.lock());
        poll_fn(|cx| {
            assert!(
                own.as_mut().poll(cx).is_pending(),
                "it is the other task's turn"
            );
            Poll::Ready(())
        })
        .await;
        drop(own.await);
        assert!(other.is_finished());
    });
}

#[coreloop::test(start_paused = true)]
async fn a_wait_that_times_out_leaves_the_queue() {
    let mutex = Rc::new(Mutex::new(()));
    let guard = Rc::clone(&mutex).lock_owned().await;
    coreloop::spawn(async move {
        sleep(Duration::from_secs(2)).await;
        drop(guard);
    });
    assert!(timeout(Duration::from_secs(1), mutex.lock()).await.is_err());
    drop(mutex.lock().await);
}

#[test]
fn an_aborted_task_passes_the_lock_on() {
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(()));
        let guard = mutex.lock().await;
        let lock = |mutex: &Rc<Mutex<()>>| {
            let mutex = Rc::clone(mutex);
            coreloop::spawn(async move { drop(mutex.lock().await) })
        };
        let (aborted, next) = (lock(&mutex), lock(&mutex));
        yield_now().await;
        drop(guard);
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        next.await.unwrap();
    });
}

#[test]
fn a_task_that_always_finds_it_unlocked_still_lets_others_run() {
    coreloop::block_on(async {
        let other = coreloop::spawn(async {});
        let mutex = Mutex::new(0_u32);
        while !other.is_finished() {
            let mut rounds = mutex.lock().await;
            *rounds += 1;
            assert!(*rounds < 100_000, "the other task never ran");
        }
    });
}

#[test]
fn a_mutex_works_under_another_executor() {
    in_time(|| {
        futures_lite::future::block_on(async {
            let mutex = Mutex::new(0);
            let add = async || {
                for _ in 0..100 {
                    let mut guard = mutex.lock().await;
                    let seen = *guard;
                    futures_lite::future::yield_now().await;
                    *guard = seen + 1;
                }
            };
            futures_lite::future::zip(add(), add()).await;
            assert_eq!(mutex.into_inner(), 200);
        });
    });
}

#[test]
fn a_waker_may_unlock_the_mutex() {
    thread_local! {
        static GUARD: RefCell<Option<OwnedMutexGuard<u8>>> = const { RefCell::new(None) };
    }
    struct Unlocks;
    impl Wake for Unlocks {
        fn wake(self: Arc<Self>) {
            drop(GUARD.take());
        }
    }
    let mutex = Rc::new(Mutex::new(1));
    GUARD.set(Some(Rc::clone(&mutex).try_lock_owned().unwrap()));
    let mut first = Waiter::new(mutex.lock());
    assert!(!first.is_ready());
    let mut other = pin!(mutex.lock());
    let waker = Waker::from(Arc::new(Unlocks));
    assert!(
        other
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    waker.wake();
    assert_eq!(first.woken(), 1);
    drop(ready(first.poll()));
    assert!(
        mutex.try_lock().is_err(),
        "the lock was granted to the other request"
    );
    drop(ready(
        other.as_mut().poll(&mut Context::from_waker(Waker::noop())),
    ));
}
