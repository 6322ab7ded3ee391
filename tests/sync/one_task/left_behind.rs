//! A task does not wait for a lock that was granted to one of its own futures, which it no
//! longer polls: RFD 609, tokio #6450, async-lock #91.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use coreloop::sync::{Mutex, OnceCell, ReentrantMutex, RwLock, Semaphore};
use coreloop::task::yield_now;
use coreloop::{runtime, select};
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{Stream, StreamExt};

use super::COMBINATORS;
use coreloop_test_support::deadline::in_time;

/// Polls a future once, so that it is in the queue.
async fn begin(mut future: Pin<&mut impl Future>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Polls a stream once, and with it its futures.
async fn begin_stream(mut stream: Pin<&mut impl Stream>) {
    poll_fn(|cx| {
        assert!(stream.as_mut().poll_next(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// While another task holds `held`, a future of this task makes a request and is left behind.
/// Then another future of this task makes a request, before or after the first was granted.
fn check<H: 'static, F, S>(
    held: impl Fn() -> H,
    first: impl AsyncFn() -> F,
    second: impl AsyncFn() -> S,
) {
    for combinator in COMBINATORS {
        for polls in [0, 1, 5] {
            coreloop::block_on(async {
                let other = held();
                let other = coreloop::spawn(async move {
                    for _ in 0..polls {
                        yield_now().await;
                    }
                    drop(other);
                });
                let order = RefCell::new(Vec::new());
                let mut left_behind = pin!(async {
                    let _held = first().await;
                    order.borrow_mut().push(1);
                });
                begin(left_behind.as_mut()).await;
                if polls == 0 {
                    other.await.unwrap();
                }
                let work = async {
                    for _ in 0..2 {
                        let _held = second().await;
                        order.borrow_mut().push(2);
                        yield_now().await;
                    }
                };
                (combinator.both)(Box::pin(work), Box::pin(async {})).await;
                left_behind.await;
                assert_eq!(*order.borrow(), [2, 2, 1], "with {}", combinator.name);
            });
        }
    }
}

#[test]
fn a_mutex_is_taken_over() {
    in_time(|| {
        let mutex = Rc::new(Mutex::new(()));
        let held = || Rc::clone(&mutex).try_lock_owned().unwrap();
        let owned = async || Rc::clone(&mutex).lock_owned().await;
        let borrowed = async || mutex.lock().await;
        check(held, borrowed, borrowed);
        check(held, borrowed, owned);
        check(held, owned, owned);
    });
}

#[test]
fn a_reader_writer_lock_is_taken_over() {
    in_time(|| {
        let lock = Rc::new(RwLock::new(()));
        let held = || Rc::clone(&lock).try_write_owned().unwrap();
        check(
            held,
            async || lock.write().await,
            async || lock.write().await,
        );
        // Requests for fewer permits than were granted, and for more.
        check(
            held,
            async || lock.write().await,
            async || lock.read().await,
        );
        check(
            held,
            async || lock.read().await,
            async || lock.write().await,
        );
    });
}

#[test]
fn permits_are_taken_over() {
    in_time(|| {
        let semaphore = Rc::new(Semaphore::new(3));
        let held = || Rc::clone(&semaphore).try_acquire_many_owned(3).unwrap();
        let many = async |count| semaphore.acquire_many(count).await.unwrap();
        let owned = async |count| {
            let semaphore = Rc::clone(&semaphore);
            semaphore.acquire_many_owned(count).await.unwrap()
        };
        check(held, async || many(3).await, async || many(3).await);
        check(held, async || many(3).await, async || owned(1).await);
        check(held, async || many(1).await, async || many(3).await);
        check(held, async || owned(2).await, async || many(2).await);
    });
}

#[test]
fn a_writer_takes_over_from_several_readers() {
    in_time(|| {
        let lock = Rc::new(RwLock::new(()));
        for polls in [0, 1, 5] {
            coreloop::block_on(async {
                let other = Rc::clone(&lock).try_write_owned().unwrap();
                let other = coreloop::spawn(async move {
                    for _ in 0..polls {
                        yield_now().await;
                    }
                    drop(other);
                });
                let mut left_behind = [lock.read(), lock.read(), lock.read()].map(Box::pin);
                for reading in &mut left_behind {
                    begin(reading.as_mut()).await;
                }
                if polls == 0 {
                    other.await.unwrap();
                }
                for _ in 0..2 {
                    drop(lock.write().await);
                    yield_now().await;
                }
                for reading in left_behind {
                    drop(reading.await);
                }
                assert!(lock.try_write().is_ok());
            });
        }
    });
}

#[test]
fn a_reentrant_mutex_is_taken_over() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Rc::new(ReentrantMutex::new(()));
            let other = coreloop::spawn({
                let mutex = Rc::clone(&mutex);
                async move {
                    let _held = mutex.lock().await;
                    yield_now().await;
                }
            });
            yield_now().await;
            let mut left_behind = pin!(mutex.lock());
            begin(left_behind.as_mut()).await;
            drop(mutex.lock().await);
            drop(left_behind.await);
            other.await.unwrap();
        });
    });
}

#[test]
fn the_permit_to_fill_a_cell_is_taken_over() {
    in_time(|| {
        coreloop::block_on(async {
            let cell = Rc::new(OnceCell::new());
            let other = coreloop::spawn({
                let cell = Rc::clone(&cell);
                async move {
                    let failed = cell
                        .get_or_try_init(async || {
                            yield_now().await;
                            Err(())
                        })
                        .await;
                    assert!(failed.is_err());
                }
            });
            yield_now().await;
            let mut left_behind = pin!(cell.get_or_init(async || 1));
            begin(left_behind.as_mut()).await;
            assert_eq!(cell.get_or_init(async || 2).await, &2);
            assert_eq!(left_behind.await, &2);
            other.await.unwrap();
        });
    });
}

/// The futures that are left behind are in a stream whose items the task processes: the
/// program of "Barbara battles buffered streams".
#[test]
fn a_lock_is_taken_over_from_a_buffered_stream() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Rc::new(Mutex::new(0));
            let work = (0..10).map(|_| async {
                let mut guard = mutex.lock().await;
                yield_now().await;
                *guard += 1;
            });
            let mut items = pin!(stream::iter(work).buffer_unordered(5));
            while items.next().await.is_some() {
                let mut guard = mutex.lock().await;
                yield_now().await;
                *guard += 1;
            }
            assert_eq!(*mutex.lock().await, 20);
        });
    });
}

#[test]
fn a_lock_is_taken_over_between_combinators_that_poll_only_woken_futures() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Rc::new(Mutex::new(()));
            let held = Rc::clone(&mutex).try_lock_owned().unwrap();
            let mut left_behind = pin!(FuturesUnordered::from_iter([mutex.lock()]));
            begin_stream(left_behind.as_mut()).await;
            let mut polled = FuturesUnordered::from_iter([mutex.lock()]);
            begin_stream(Pin::new(&mut polled)).await;
            coreloop::spawn(async move { drop(held) });
            drop(polled.next().await);
            drop(left_behind.next().await);
        });
    });
}

/// The `select!` of the report: the future of one branch is created before it, and the handler
/// of another branch locks.
#[test]
fn a_handler_of_select_takes_a_lock_over() {
    in_time(|| {
        let runtime = runtime::Builder::new().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mutex = Rc::new(Mutex::new(()));
            let held = Rc::clone(&mutex).try_lock_owned().unwrap();
            coreloop::spawn(async move {
                coreloop::time::sleep(std::time::Duration::from_secs(5)).await;
                drop(held);
            });
            let mut first = pin!(mutex.lock());
            select! {
                _ = &mut first => unreachable!("the mutex is locked"),
                () = coreloop::time::sleep(std::time::Duration::from_secs(1)) => {
                    drop(mutex.lock().await);
                }
            }
            drop(first.await);
        });
    });
}

/// Another task, whose request came before the request that takes over, waits for both.
#[test]
fn the_future_left_behind_is_served_before_other_tasks() {
    in_time(|| {
        coreloop::block_on(async {
            let mutex = Rc::new(Mutex::new(Vec::new()));
            let held = Rc::clone(&mutex).try_lock_owned().unwrap();
            let mut left_behind = pin!(async { mutex.lock().await.push("left behind") });
            begin(left_behind.as_mut()).await;
            let other = coreloop::spawn({
                let mutex = Rc::clone(&mutex);
                async move { mutex.lock().await.push("other") }
            });
            yield_now().await;
            drop(held);
            mutex.lock().await.push("taken over");
            left_behind.await;
            other.await.unwrap();
            assert_eq!(
                *mutex.try_lock().unwrap(),
                ["taken over", "left behind", "other"]
            );
        });
    });
}

/// No permit is lost if the future that takes over, or the future that was left behind, is
/// dropped at any step.
#[test]
fn both_futures_may_be_dropped_at_any_time() {
    for drops_first in [true, false] {
        for polls in 0..6 {
            coreloop::block_on(async {
                let semaphore = Rc::new(Semaphore::new(2));
                let held = Rc::clone(&semaphore).try_acquire_many_owned(2).unwrap();
                let mut first = Some(Box::pin(semaphore.acquire_many(2)));
                begin(first.as_mut().unwrap().as_mut()).await;
                drop(held);
                let mut second = Some(Box::pin(semaphore.acquire()));
                super::steps(|step, cx| {
                    if step < polls {
                        if let Some(asking) = &mut second
                            && asking.as_mut().poll(cx).is_ready()
                        {
                            second = None;
                        }
                        return false;
                    }
                    if drops_first {
                        first = None;
                        second = None;
                    } else {
                        second = None;
                        first = None;
                    }
                    true
                })
                .await;
                assert_eq!(semaphore.available_permits(), 2);
            });
        }
    }
}
