//! A future that is polled gets its turn, whatever other futures of its task do.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake};
use std::time::Duration;

use coreloop::sync::{
    Mutex, OnceCell, OwnedMutexGuard, Queue, ReentrantMutex, RwLock, Semaphore, mpsc,
};
use coreloop::task::coop::{has_budget_remaining, poll_proceed};
use coreloop::task::yield_now;
use coreloop::time::sleep;
use coreloop::{join, runtime};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{COMBINATORS, steps};
use coreloop_test_support::deadline::in_time;

/// futures-rs #2071: one future acquires the lock three times, and requests it again as soon
/// as it has released it. Another future acquires it once, and requests it while the first
/// future holds it for the first time.
fn check<G, H>(first: impl AsyncFn() -> G, second: impl AsyncFn() -> H) {
    for combinator in COMBINATORS {
        let order = RefCell::new(Vec::new());
        let runtime = runtime::Builder::new().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let thrice = async {
                for _ in 0..3 {
                    let _held = first().await;
                    order.borrow_mut().push(1);
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let once = async {
                // Requests after the other future, in whatever order the two are polled.
                yield_now().await;
                yield_now().await;
                let _held = second().await;
                order.borrow_mut().push(2);
            };
            (combinator.both)(Box::pin(thrice), Box::pin(once)).await;
        });
        assert_eq!(*order.borrow(), [1, 2, 1, 1], "with {}", combinator.name);
    }
}

#[test]
fn a_future_gets_its_turn_at_a_mutex() {
    in_time(|| {
        let mutex = Rc::new(Mutex::new(()));
        check(async || mutex.lock().await, async || mutex.lock().await);
        let owned = async || Rc::clone(&mutex).lock_owned().await;
        check(owned, owned);
        check(owned, async || mutex.lock().await);
    });
}

#[test]
fn a_future_gets_its_turn_at_a_reader_writer_lock() {
    in_time(|| {
        let lock = Rc::new(RwLock::new(()));
        check(async || lock.write().await, async || lock.write().await);
        check(async || lock.read().await, async || lock.write().await);
        check(async || lock.write().await, async || lock.read().await);
        check(
            async || Rc::clone(&lock).read_owned().await,
            async || Rc::clone(&lock).write_owned().await,
        );
    });
}

#[test]
fn a_future_gets_its_turn_at_a_semaphore() {
    in_time(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        let two = async || semaphore.acquire_many(2).await.unwrap();
        let one = async || semaphore.acquire().await.unwrap();
        let owned = async || Rc::clone(&semaphore).acquire_many_owned(2).await.unwrap();
        check(two, two);
        check(two, one);
        check(one, two);
        check(owned, owned);
    });
}

/// An item in a queue, which is taken out when this is dropped.
struct Room<'a>(&'a Queue<()>);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.try_get().unwrap();
    }
}

#[test]
fn a_future_gets_its_turn_at_a_channel_and_a_queue() {
    in_time(|| {
        let (sender, _receiver) = mpsc::channel::<()>(1);
        let reserve = async || sender.reserve().await.unwrap();
        check(reserve, reserve);

        let queue = Queue::new(1);
        let put = async || {
            queue.put(()).await.unwrap();
            Room(&queue)
        };
        check(put, put);
    });
}

/// The program of the report, unchanged.
#[test]
fn a_reader_in_a_loop_sees_what_another_future_writes() {
    let seen = in_time(|| {
        let runtime = runtime::Builder::new().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let state = Mutex::new(0);
            let seen = RefCell::new(Vec::new());
            let display = async {
                for _ in 0..3 {
                    let state = state.lock().await;
                    seen.borrow_mut().push(*state);
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let change = async { *state.lock().await = 42 };
            join!(display, change);
            seen.into_inner()
        })
    });
    assert_eq!(seen, [0, 42, 42]);
}

/// A future that begins to make the value of a cell, fails, and tries again at once does not
/// prevent another future of the task from trying.
#[test]
fn a_future_gets_its_turn_to_fill_a_cell() {
    in_time(|| {
        for combinator in COMBINATORS {
            coreloop::block_on(async {
                let cell = OnceCell::new();
                let tries = Cell::new(0);
                let fails = async {
                    while cell.get().is_none() {
                        let _ = cell
                            .get_or_try_init(async || {
                                tries.set(tries.get() + 1);
                                for _ in 0..5 {
                                    yield_now().await;
                                }
                                Err(())
                            })
                            .await;
                    }
                };
                let makes = async {
                    yield_now().await;
                    assert_eq!(cell.get_or_init(async || 1).await, &1);
                };
                (combinator.both)(Box::pin(fails), Box::pin(makes)).await;
                assert_eq!(tries.get(), 1, "with {}", combinator.name);
            });
        }
    });
}

#[test]
fn a_lock_is_not_taken_over_in_the_poll_of_its_grant_or_the_next() {
    coreloop::block_on(async {
        let mutex = Mutex::new(());
        let mut held = Some(mutex.try_lock().unwrap());
        let mut first = pin!(mutex.lock());
        let mut second = pin!(mutex.lock());
        steps(|step, cx| match step {
            0 => {
                assert!(first.as_mut().poll(cx).is_pending());
                held = None;
                assert!(
                    second.as_mut().poll(cx).is_pending(),
                    "the lock belongs to the first future"
                );
                false
            }
            // The first whole poll since the grant, which polls the second future first.
            1 => {
                assert!(
                    second.as_mut().poll(cx).is_pending(),
                    "the lock belongs to the first future"
                );
                assert!(first.as_mut().poll(cx).is_ready());
                true
            }
            _ => unreachable!(),
        })
        .await;
        drop(second.await);
    });
}

#[test]
fn a_future_that_is_polled_without_budget_is_not_left_behind() {
    coreloop::block_on(async {
        let mutex = Mutex::new(());
        let held = mutex.try_lock().unwrap();
        let mut first = pin!(mutex.lock());
        let mut second = pin!(mutex.lock());
        steps(|step, cx| {
            if step == 0 {
                assert!(first.as_mut().poll(cx).is_pending());
                return true;
            }
            unreachable!()
        })
        .await;
        drop(held);
        steps(|step, cx| {
            if step == 10 {
                assert!(first.as_mut().poll(cx).is_ready());
                return true;
            }
            assert!(
                second.as_mut().poll(cx).is_pending(),
                "the lock belongs to the first future"
            );
            while has_budget_remaining() {
                assert!(poll_proceed(cx).is_ready());
            }
            assert!(first.as_mut().poll(cx).is_pending(), "no budget is left");
            false
        })
        .await;
        drop(second.await);
    });
}

#[test]
fn many_futures_of_one_task_need_few_polls() {
    const FUTURES: usize = 200;

    /// Counts the polls of a future.
    async fn counted(future: impl Future<Output = ()>, polls: &Cell<usize>) {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            polls.set(polls.get() + 1);
            future.as_mut().poll(cx)
        })
        .await;
    }

    in_time(|| {
        coreloop::block_on(async {
            let mutex = Mutex::new(());
            let polls = Cell::new(0);
            let futures = (0..FUTURES).map(|_| {
                let work = async {
                    for _ in 0..2 {
                        let _guard = mutex.lock().await;
                        yield_now().await;
                    }
                };
                counted(work, &polls)
            });
            let mut futures: FuturesUnordered<_> = futures.collect();
            while futures.next().await.is_some() {}
            // For each lock: polls to request, to lock, to unlock, and to check other futures.
            let most = 2 * FUTURES * 6;
            assert!(polls.get() <= most, "{} polls", polls.get());
        });
    });
}

#[test]
fn a_task_that_waits_for_its_turn_is_not_polled_meanwhile() {
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(()));
        let held = Rc::clone(&mutex).try_lock_owned().unwrap();
        let polls = Rc::new(Cell::new(0));
        let waits = coreloop::spawn({
            let (mutex, polls) = (Rc::clone(&mutex), Rc::clone(&polls));
            async move {
                let both = async { join!(mutex.lock(), mutex.lock()).0 };
                let mut both = pin!(both);
                std::future::poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    both.as_mut().poll(cx).map(drop)
                })
                .await;
            }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(polls.get(), 1);
        drop(held);
        for _ in 0..10 {
            yield_now().await;
        }
        // The task waits for both locks at once, which is impossible, but it must not be polled
        // meanwhile.
        assert!(polls.get() <= 3, "{} polls", polls.get());
        waits.abort();
    });
}

#[test]
fn a_reentrant_mutex_lets_all_futures_of_a_task_in() {
    coreloop::block_on(async {
        let mutex = ReentrantMutex::new(());
        let _held = mutex.lock().await;
        let (_first, _second) = join!(mutex.lock(), mutex.lock());
    });
}

/// The replaced waker is dropped while the future is in the queue, and its destructor may
/// release the lock to that future.
#[test]
fn a_waker_may_unlock_the_mutex_when_it_is_dropped() {
    thread_local! {
        static HELD: RefCell<Option<OwnedMutexGuard<()>>> = const { RefCell::new(None) };
    }
    struct Unlocks;
    impl Wake for Unlocks {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Unlocks {
        fn drop(&mut self) {
            drop(HELD.take());
        }
    }
    coreloop::block_on(async {
        let mutex = Rc::new(Mutex::new(()));
        HELD.set(Some(Rc::clone(&mutex).try_lock_owned().unwrap()));
        let mut locking = pin!(mutex.lock());
        steps(|step, cx| {
            if step == 0 {
                let waker = Arc::new(Unlocks).into();
                let mut cx = Context::from_waker(&waker);
                assert!(locking.as_mut().poll(&mut cx).is_pending());
            }
            locking.as_mut().poll(cx).is_ready()
        })
        .await;
    });
}

/// Under another executor, requests are served in order, and none takes over the grant of
/// another.
#[test]
fn a_future_gets_its_turn_under_another_executor() {
    in_time(|| {
        for combinator in COMBINATORS.iter().filter(|it| it.name != "scope") {
            let mutex = Mutex::new(Vec::new());
            let work = async |number, times| {
                for _ in 0..times {
                    let mut guard = mutex.lock().await;
                    guard.push(number);
                    for _ in 0..3 {
                        futures_lite::future::yield_now().await;
                    }
                }
            };
            let both = (combinator.both)(
                Box::pin(work(1, 3)),
                Box::pin(async {
                    futures_lite::future::yield_now().await;
                    work(2, 1).await;
                }),
            );
            futures_lite::future::block_on(both);
            assert_eq!(
                *mutex.try_lock().unwrap(),
                [1, 2, 1, 1],
                "with {}",
                combinator.name
            );
        }
    });
}
