//! User code that the pool calls, and that uses or drops the pool: decoders, destructors and
//! wakers.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::pool::{JobError, JobHandle, Pool};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::meeting::soon;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::wakers::{Call, calling, panicking_waker};
use futures_core::Stream;
use futures_lite::StreamExt;
use serde::{Deserialize, Deserializer, Serialize};

type Action = Rc<dyn Fn()>;

thread_local! {
    /// What [`Calls`] does when it is decoded.
    static WHEN_DECODED: RefCell<Option<Action>> = const { RefCell::new(None) };
    /// What it does when it is dropped.
    static WHEN_DROPPED: RefCell<Option<Action>> = const { RefCell::new(None) };
}

fn call(action: &'static std::thread::LocalKey<RefCell<Option<Action>>>) {
    let action = action.with_borrow(Clone::clone);
    if let Some(action) = action {
        action();
    }
}

/// A value that calls the test's code.
#[derive(Serialize)]
struct Calls(u64);

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        call(&WHEN_DECODED);
        Ok(Self(number))
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        call(&WHEN_DROPPED);
    }
}

#[coreloop::job]
fn calls(number: u64) -> Calls {
    Calls(number)
}

#[coreloop::job]
fn double(number: u64) -> u64 {
    number * 2
}

#[coreloop::job]
fn die_at_zero(number: u64) -> u64 {
    if number == 0 {
        std::process::abort();
    }
    number
}

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

fn submit(pool: &Pool) -> JobHandle<u64> {
    pool.job(double, 1).try_submit().unwrap()
}

/// Returns an action that runs `action` the first time.
fn once(action: impl FnOnce() + 'static) -> Action {
    let action = Cell::new(Some(action));
    Rc::new(move || {
        if let Some(action) = action.take() {
            action();
        }
    })
}

fn clear() {
    WHEN_DECODED.set(None);
    WHEN_DROPPED.set(None);
}

#[coreloop::test]
async fn a_decoder_may_submit_cancel_and_read_metrics() {
    let pool = pool();
    let other = Rc::new(RefCell::new(None));
    let (used, kept) = (pool.clone(), Rc::clone(&other));
    let waiting = submit(&pool);
    WHEN_DECODED.set(Some(once(move || {
        let handle = submit(&used);
        handle.abort();
        *kept.borrow_mut() = Some((submit(&used), used.metrics()));
        waiting.abort();
        drop(used.map(double, 0..3));
    })));
    assert_eq!(pool.run(calls, 4).await.unwrap().0, 4);
    let (handle, _) = other.borrow_mut().take().unwrap();
    assert_eq!(handle.await.unwrap(), 2);
    clear();
}

#[coreloop::test]
async fn a_decoder_may_drop_the_pool() {
    for chunk in [1, 3] {
        let pool = pool();
        let handles: Vec<_> = (0..10).map(|_| submit(&pool)).collect();
        let mut map = pool.map(calls, 0..30).chunks(chunk);
        let result = pool.submit(calls, 4).await.unwrap();
        // The map keeps the pool.
        let held = RefCell::new(Some(pool));
        WHEN_DECODED.set(Some(once(move || drop(held.take()))));
        yield_until(|| result.is_finished()).await;
        clear();
        assert!(map.next().await.is_some());
        drop(map);
        for handle in handles {
            let _ = handle.await;
        }
        let _ = result.await;
    }
}

#[coreloop::test]
async fn a_decoder_may_close_the_pool_or_drop_the_map_that_waits_for_it() {
    let pool = pool();
    let map = Rc::new(RefCell::new(Some(pool.map(calls, 0..30).chunks(4))));
    let (closed, dropped) = (pool.clone(), Rc::clone(&map));
    WHEN_DECODED.set(Some(once(move || {
        drop(dropped.borrow_mut().take());
        closed.close();
    })));
    std::future::poll_fn(|cx| {
        let mut map = map.borrow_mut();
        let map = map.as_mut().unwrap();
        assert!(std::pin::Pin::new(map).poll_next(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    yield_until(|| map.borrow().is_none()).await;
    pool.join().await;
    assert_eq!(pool.metrics().queued, 0);
    clear();
}

#[coreloop::test]
async fn a_destructor_may_use_the_pool() {
    let pool = pool();
    let used = pool.clone();
    WHEN_DROPPED.set(Some(Rc::new(move || {
        let handle = used.job(double, 1).try_submit();
        drop((handle, used.metrics()));
    })));
    // The outcome of the first is dropped with its handle, and the others with the map.
    let handle = pool.submit(calls, 1).await.unwrap();
    yield_until(|| handle.is_finished()).await;
    drop(handle);
    let mut map = pool.map(calls, 0..10).chunks(2);
    drop(map.next().await);
    drop(map);
    clear();
    pool.close();
    pool.join().await;
}

#[test]
fn a_destructor_or_a_waker_that_panics_does_not_end_the_pool() {
    let ((), _) = recorded(|| {
        coreloop::block_on(async {
            let pool = pool();
            let mut handle = pool.submit(double, 1).await.unwrap();
            let mut map = pool.map(double, 0..4).chunks(2);
            let waker = panicking_waker();
            let mut cx = Context::from_waker(&waker);
            assert!(std::pin::Pin::new(&mut handle).poll(&mut cx).is_pending());
            assert!(std::pin::Pin::new(&mut map).poll_next(&mut cx).is_pending());
            {
                let joined = pin!(pool.join());
                assert!(joined.poll(&mut cx).is_pending());
            }
            yield_until(|| handle.is_finished() && pool.metrics().done == 3).await;
            assert_eq!(handle.await.unwrap(), 2);
            let results: Vec<u64> = map.map(Result::unwrap).collect().await;
            assert_eq!(results, [0, 2, 4, 6]);

            // The map is dropped while its results are decoded, so that the pool drops them.
            let map = Rc::new(RefCell::new(Some(pool.map(calls, 0..4).chunks(4))));
            let dropped = Rc::clone(&map);
            WHEN_DECODED.set(Some(once(move || drop(dropped.borrow_mut().take()))));
            WHEN_DROPPED.set(Some(once(|| panic!("a destructor"))));
            std::future::poll_fn(|cx| {
                let polled = std::pin::Pin::new(map.borrow_mut().as_mut().unwrap()).poll_next(cx);
                assert!(polled.is_pending());
                Poll::Ready(())
            })
            .await;
            yield_until(|| pool.metrics().done == 4).await;
            clear();
            assert_eq!(pool.run(double, 4).await.unwrap(), 8);
        });
    });
}

#[test]
fn a_waker_of_progress_that_panics_does_not_end_the_pool() {
    let ((), _) = recorded(|| {
        coreloop::block_on(async {
            let pool = pool();
            let waker = panicking_waker();
            let mut cx = Context::from_waker(&waker);
            for is_aborted in [false, true] {
                let handle = pool.submit(double, 1).await.unwrap();
                let mut progress = handle.progress::<u64>();
                let mut changed = pin!(progress.changed());
                assert!(changed.as_mut().poll(&mut cx).is_pending());
                if is_aborted {
                    handle.abort();
                }
                let outcome = handle.await;
                assert!(outcome.is_ok() || is_aborted);
                assert_eq!(pool.run(double, 4).await.unwrap(), 8);
            }
        });
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_the_pool_from_closing() {
    let ((), _) = recorded(|| {
        coreloop::block_on(async {
            let pool = Pool::builder().workers(1).queue(1).build().unwrap();
            let first = submit(&pool);
            let waker = panicking_waker();
            let mut cx = Context::from_waker(&waker);
            let mut waiting = pin!(pool.submit(double, 2));
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            pool.close();
            assert_eq!(first.await.unwrap(), 2);
            pool.join().await;
            assert!(waiting.await.unwrap_err().is_shut_down());
        });
    });
}

/// The items of the chunk that had not started are neither in the worker nor in the queue
/// when its first item fails.
#[coreloop::test]
async fn a_waker_may_end_the_pool_while_the_chunk_of_a_dead_worker_is_divided() {
    let pool = pool();
    let mut map = pool.map(die_at_zero, 0..4).chunks(4);
    let used = pool.clone();
    let waker = calling(move |call| {
        if call == Call::Wake {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = pin!(used.shutdown(Duration::ZERO)).poll(&mut cx);
        }
    });
    let mut cx = Context::from_waker(&waker);
    assert!(std::pin::Pin::new(&mut map).poll_next(&mut cx).is_pending());
    yield_until(|| pool.is_closed()).await;
    let results: Vec<_> = soon(map.collect()).await;
    assert_eq!(results.len(), 4);
    for (index, result) in results.into_iter().enumerate() {
        let error: JobError = result.unwrap_err();
        assert_eq!(error.is_broken_worker(), index == 0, "{error}");
        assert_eq!(error.is_shut_down(), index > 0, "{error}");
    }
}

#[coreloop::test]
async fn a_waker_may_drop_the_pool() {
    for is_map in [true, false] {
        let pool = pool();
        let mut handle = pool.submit(double, 1).await.unwrap();
        let mut map = pool.map(double, 0..4);
        let others: Vec<_> = (0..5).map(|_| submit(&pool)).collect();
        let held = Rc::new(RefCell::new(None));
        let dropped = Rc::clone(&held);
        let waker = calling(move |call| {
            if call == Call::Wake {
                drop(dropped.borrow_mut().take());
            }
        });
        let mut cx = Context::from_waker(&waker);
        if is_map {
            assert!(std::pin::Pin::new(&mut map).poll_next(&mut cx).is_pending());
        } else {
            drop(map);
            assert!(std::pin::Pin::new(&mut handle).poll(&mut cx).is_pending());
        }
        *held.borrow_mut() = Some(pool);
        yield_until(|| held.borrow().is_none()).await;
        for handle in others {
            let _ = handle.await;
        }
    }
}

#[coreloop::test]
async fn handles_are_dropped_in_any_order() {
    let pool = pool();
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut handles = Vec::new();
        for number in 0..30 {
            let request = pool.job(calls, number).timeout(Duration::from_secs(3_600));
            handles.push(request.submit().await.unwrap());
        }
        random.shuffle(&mut handles);
        while let Some(handle) = handles.pop() {
            match random.u8(0..4) {
                0 => drop(handle),
                1 => handle.abort(),
                2 => drop(handle.cancel().await),
                _ => drop(handle.await),
            }
        }
    }
    pool.close();
    pool.join().await;
    assert_eq!(pool.metrics().running, 0);
}
