//! `Semaphore`: order, counting, closing, and dropped requests.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use coreloop::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use coreloop::task::yield_now;

use crate::permits_model::{self, Subject};
use coreloop_test_support::waiter::{Waiter, ready};

impl Subject for Semaphore {
    type Held<'a> = SemaphorePermit<'a>;
    const PERMITS: usize = 4;
    const REQUESTS: &'static [usize] = &[1, 1, 2, 3, 0, 6];

    async fn acquire(&self, count: usize) -> Option<SemaphorePermit<'_>> {
        let count = u32::try_from(count).unwrap();
        self.acquire_many(count).await.ok()
    }

    fn try_acquire(&self, count: usize) -> Option<SemaphorePermit<'_>> {
        self.try_acquire_many(u32::try_from(count).unwrap()).ok()
    }

    fn reduce<'a>(&'a self, mut held: SemaphorePermit<'a>) -> (SemaphorePermit<'a>, usize) {
        let half = held.num_permits() / 2;
        let other = held.split(half).unwrap();
        assert_eq!(other.num_permits(), half);
        (held, half)
    }

    fn add(&self, count: usize) -> usize {
        self.add_permits(count);
        count
    }

    fn forget(&self, count: usize) -> Option<usize> {
        Some(self.forget_permits(count))
    }

    fn close(&self) -> bool {
        Semaphore::close(self);
        assert!(self.is_closed());
        true
    }

    fn available(&self) -> Option<usize> {
        Some(self.available_permits())
    }
}

#[test]
fn a_semaphore_agrees_with_its_model() {
    permits_model::check(|| Semaphore::new(4));
}

#[test]
fn a_large_request_is_not_overtaken_by_small_ones() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    let mut big = Waiter::new(semaphore.acquire_many(2));
    let mut small = Waiter::new(semaphore.acquire());
    assert!(!big.is_ready());
    assert!(
        !small.is_ready(),
        "a permit is free, but saved for the large request"
    );
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::NoPermits
    );
    assert_eq!(semaphore.available_permits(), 0);
    drop(held);
    assert_eq!((big.woken(), small.woken()), (1, 0));
    let permits = ready(big.poll()).unwrap();
    assert_eq!(permits.num_permits(), 2);
    drop(permits);
    assert!(small.is_ready());
}

#[test]
fn dropping_a_large_request_grants_the_small_ones_behind_it() {
    let semaphore = Semaphore::new(2);
    let _held = semaphore.try_acquire().unwrap();
    let mut big = Waiter::new(semaphore.acquire_many(2));
    let mut small = Waiter::new(semaphore.acquire());
    assert!(!big.is_ready() && !small.is_ready());
    big.cancel();
    assert_eq!(small.woken(), 1);
    assert!(small.is_ready());
}

/// cpython gh-90155, anyio #1145: the permit was lost with the cancelled waiter.
#[test]
fn a_request_that_is_dropped_after_its_grant_passes_it_on() {
    let semaphore = Semaphore::new(0);
    let mut first = Waiter::new(semaphore.acquire());
    let mut second = Waiter::new(semaphore.acquire());
    assert!(!first.is_ready() && !second.is_ready());
    semaphore.add_permits(1);
    assert_eq!((first.woken(), second.woken()), (1, 0));
    first.cancel();
    assert_eq!(second.woken(), 1);
    second.cancel();
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn closing_fails_waiting_and_later_requests() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut waits = Waiter::new(semaphore.acquire());
    let mut granted = Waiter::new(semaphore.acquire());
    assert!(!granted.is_ready() && !waits.is_ready());
    drop(held);
    semaphore.close();
    semaphore.close();
    for waiter in [&mut waits, &mut granted] {
        let error = ready(waiter.poll()).unwrap_err();
        assert_eq!(error.to_string(), "semaphore closed");
        assert_eq!(format!("{error:?}"), "AcquireError(())");
    }
    let error = semaphore.try_acquire().unwrap_err();
    assert_eq!(error, TryAcquireError::Closed);
    assert_eq!(error.to_string(), "semaphore closed");
    assert_eq!(
        TryAcquireError::NoPermits.to_string(),
        "no permits available"
    );
    // The request that was granted a permit has released it.
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn permits_can_be_merged_split_and_forgotten() {
    let semaphore = Rc::new(Semaphore::new(10));
    let mut permits = semaphore.try_acquire_many(3).unwrap();
    permits.merge(semaphore.try_acquire_many(4).unwrap());
    assert_eq!(permits.num_permits(), 7);
    assert!(permits.split(8).is_none());
    let two = permits.split(2).unwrap();
    assert_eq!((permits.num_permits(), two.num_permits()), (5, 2));
    drop(two);
    assert_eq!(semaphore.available_permits(), 5);
    permits.forget();
    assert_eq!(semaphore.available_permits(), 5);
    assert_eq!(semaphore.forget_permits(9), 5);
    assert_eq!(semaphore.available_permits(), 0);

    semaphore.add_permits(4);
    let mut owned = Rc::clone(&semaphore).try_acquire_many_owned(2).unwrap();
    owned.merge(Rc::clone(&semaphore).try_acquire_owned().unwrap());
    assert!(Rc::ptr_eq(owned.semaphore(), &semaphore));
    let one = owned.split(1).unwrap();
    one.forget();
    assert_eq!(owned.num_permits(), 2);
    drop(owned);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn misuse_panics() {
    let (one, other) = (Semaphore::new(1), Semaphore::new(1));
    let mut permit = one.try_acquire().unwrap();
    let merged = catch_unwind(AssertUnwindSafe(|| {
        permit.merge(other.try_acquire().unwrap());
    }));
    assert!(merged.is_err());
    assert_eq!(
        other.available_permits(),
        1,
        "it was released to its own semaphore"
    );
    assert!(catch_unwind(|| Semaphore::new(Semaphore::MAX_PERMITS + 1)).is_err());
    let full = Semaphore::new(Semaphore::MAX_PERMITS);
    assert!(catch_unwind(AssertUnwindSafe(|| full.add_permits(1))).is_err());
    assert_eq!(full.available_permits(), Semaphore::MAX_PERMITS);
}

#[test]
fn tasks_get_permits_in_the_order_of_their_requests() {
    coreloop::block_on(async {
        let semaphore = Rc::new(Semaphore::new(1));
        let held = Rc::clone(&semaphore).acquire_owned().await.unwrap();
        let next = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (semaphore, next) = (Rc::clone(&semaphore), Rc::clone(&next));
                coreloop::spawn(async move {
                    let _permit = semaphore.acquire().await.unwrap();
                    assert_eq!(next.replace(number + 1), number);
                    yield_now().await;
                })
            })
            .collect();
        yield_now().await;
        drop(held);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// The head of the queue is a future that its task no longer polls.
#[test]
fn a_task_does_not_wait_for_a_permit_that_was_granted_to_it() {
    coreloop::block_on(async {
        let semaphore = Rc::new(Semaphore::new(1));
        let held = Rc::clone(&semaphore).acquire_owned().await.unwrap();
        let mut dormant = Box::pin(semaphore.acquire());
        std::future::poll_fn(|cx| {
            assert!(dormant.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(held);
        for _ in 0..3 {
            // Each time the permit is granted to the future that is not polled again.
            drop(semaphore.acquire().await.unwrap());
            assert_eq!(semaphore.available_permits(), 0);
        }
        drop(dormant.await.unwrap());
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// The request whose permit was taken over is for fewer permits than the request that
/// was first in the queue, so the free permits may be enough for it.
#[test]
fn a_request_whose_permit_was_taken_over_gets_a_free_one() {
    coreloop::block_on(async {
        let semaphore = Rc::new(Semaphore::new(0));
        let mut dormant = Box::pin(semaphore.acquire());
        std::future::poll_fn(|cx| {
            assert!(dormant.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let big = coreloop::spawn({
            let semaphore = Rc::clone(&semaphore);
            async move { drop(semaphore.acquire_many(3).await.unwrap()) }
        });
        yield_now().await;
        semaphore.add_permits(2);
        // One permit for the future that is not polled, one saved for the other task.
        let own = semaphore.acquire().await.unwrap();
        drop(dormant.await.unwrap());
        semaphore.add_permits(1);
        drop(own);
        big.await.unwrap();
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn a_task_that_always_finds_a_permit_still_lets_others_run() {
    coreloop::block_on(async {
        let other = coreloop::spawn(async {});
        let semaphore = Semaphore::new(1);
        let mut rounds = 0_u32;
        while !other.is_finished() {
            drop(semaphore.acquire().await.unwrap());
            rounds += 1;
            assert!(rounds < 100_000, "the other task never ran");
        }
    });
}

thread_local! {
    static SEMAPHORE: Semaphore = const { Semaphore::const_new(0) };
}

/// A waker that acquires and releases permits when it is woken and when it is dropped.
struct ComesBack;

impl ComesBack {
    fn come_back() {
        SEMAPHORE.with(|semaphore| {
            drop(semaphore.try_acquire());
            semaphore.add_permits(1);
            assert!(semaphore.forget_permits(1) <= 1);
            let mut waiter = Waiter::new(semaphore.acquire());
            let _ = waiter.poll();
            waiter.cancel();
        });
    }
}

impl Wake for ComesBack {
    fn wake(self: Arc<Self>) {
        Self::come_back();
    }
}

impl Drop for ComesBack {
    fn drop(&mut self) {
        Self::come_back();
    }
}

#[test]
fn wakers_may_use_the_semaphore() {
    SEMAPHORE.with(|semaphore| {
        let mut futures: Vec<_> = (1..4)
            .map(|n| Box::pin(semaphore.acquire_many(n)))
            .collect();
        for future in &mut futures {
            for _ in 0..2 {
                // The second waker replaces the first, and drops it.
                let waker = Waker::from(Arc::new(ComesBack));
                let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
            }
        }
        semaphore.add_permits(2);
        drop(futures.remove(0));
        semaphore.add_permits(4);
        futures.clear();
        semaphore.close();
        assert!(semaphore.try_acquire().is_err());
    });
}

/// A waker that panics when it is woken.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn the_other_waiters_are_woken_if_a_waker_panics() {
    let semaphore = Semaphore::new(0);
    let mut first = Waiter::new(semaphore.acquire());
    assert!(!first.is_ready());
    let mut panicking = Box::pin(semaphore.acquire());
    let waker = Waker::from(Arc::new(Panics));
    let cx = &mut Context::from_waker(&waker);
    assert!(panicking.as_mut().poll(cx).is_pending());
    let mut last = Waiter::new(semaphore.acquire());
    assert!(!last.is_ready());
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(3))).is_err());
    assert_eq!((first.woken(), last.woken()), (1, 1));
    drop(panicking);
    assert!(first.is_ready() && last.is_ready());
    drop((first, last));
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
#[cfg_attr(miri, ignore = "it leaks")]
fn a_forgotten_future_keeps_only_its_place() {
    let semaphore = Semaphore::new(0);
    let mut forgotten = Waiter::new(semaphore.acquire());
    let mut next = Waiter::new(semaphore.acquire());
    assert!(!forgotten.is_ready() && !next.is_ready());
    semaphore.add_permits(2);
    std::mem::forget(forgotten);
    assert!(next.is_ready());
}
