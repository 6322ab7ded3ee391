//! Which cleanups a part of a task waits for: only the ones that it queued itself.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::cleanup::{AsyncGuard, bracket, defer, flush, shield};
use coreloop::scope::{cancel_scope, scope, timeout_at};
use coreloop::sync::oneshot;
use coreloop::task::yield_now;
use coreloop::time::{Instant, timeout};
use coreloop::{race, select, spawn};

use super::closed::{Closed, LEVELS};
use coreloop_test_support::reports::Reports;
use coreloop_test_support::trace::{TICK, Trace, ticks};

/// A cleanup that takes a tick and drops a guard of the same kind, until the flag is
/// set.
fn endless(stop: &Rc<Cell<bool>>) -> Pin<Box<dyn Future<Output = ()>>> {
    let stop = Rc::clone(stop);
    Box::pin(async move {
        ticks(1).await;
        if !stop.get() {
            drop(defer(endless(&stop)));
        }
    })
}

/// A part that has ended does not wait for cleanups that other parts of the task queued.
#[coreloop::test(start_paused = true)]
async fn a_part_does_not_wait_for_the_cleanups_of_others() {
    let trace = Trace::new();
    let stop = Rc::new(Cell::new(false));
    let guard = || defer(ticks(1));
    let others = async {
        drop(defer(endless(&stop)));
        loop {
            drop(guard());
            ticks(2).await;
        }
    };
    let waits = async || {
        let _guard = guard();
        pending::<()>().await;
    };
    let parts = async {
        let soon = Instant::now() + TICK;
        assert!(timeout_at(soon, waits()).await.is_err());
        trace.note("deadline");
        race!(waits(), ticks(1));
        trace.note("race");
        scope(async |scope| drop(scope.spawn(async { drop(guard()) }))).await;
        trace.note("scope");
        bracket(async || (), async |()| drop(guard()), async |()| ()).await;
        trace.note("bracket");
        let before = Instant::now();
        assert!(cancel_scope(async |_| ()).await.is_ok());
        assert_eq!(
            before.elapsed(),
            Duration::ZERO,
            "the scope has queued no cleanup"
        );
    };
    let both = async {
        select! {
            () = others => unreachable!(),
            () = parts => {}
        }
    };
    timeout(200 * TICK, both).await.expect("each part ends");
    stop.set(true);
    let events = trace.events();
    let names = events.iter().map(|event| event.split_once(' ').unwrap().1);
    assert!(
        names.eq(["deadline", "race", "scope", "bracket"]),
        "{events:?}"
    );
}

/// `flush` waits for guards that were dropped before, not for guards that are dropped
/// later.
#[coreloop::test(start_paused = true)]
async fn flush_does_not_wait_for_guards_that_are_dropped_later() {
    let closed = Closed::new();
    let others = async {
        loop {
            drop(defer(ticks(2)));
            yield_now().await;
            ticks(1).await;
        }
    };
    let flushing = async {
        drop(closed.guard());
        flush().await;
        assert_eq!(closed.count.get(), LEVELS);
    };
    let both = async {
        select! {
            () = others => unreachable!(),
            () = flushing => {}
        }
    };
    timeout(200 * TICK, both).await.expect("the flushing ends");
}

/// Nothing in a cleanup waits for the cleanups that it queues, which run after it.
#[coreloop::test(start_paused = true)]
async fn a_cleanup_does_not_wait_for_the_cleanups_that_it_queues() {
    let closed = Closed::new();
    let count = Rc::clone(&closed.count);
    let inner = closed.clone();
    cancel_scope(async |_| {
        drop(defer(async move {
            inner.clone().returns().await;
            flush().await;
            race!(inner.clone().returns(), pending::<u32>());
            scope(async |scope| scope.spawn(inner.clone().returns()).await).await;
            shield(inner.clone().returns()).await;
            AsyncGuard::new(inner.guard(), async |guard| drop(guard))
                .close()
                .await;
            assert_eq!(inner.count.get(), 0);
        }));
    })
    .await
    .unwrap();
    assert_eq!(count.get(), 5 * LEVELS);
}

/// A cleanup that panics or takes too long drops the guards that it holds.
#[test]
fn the_guards_of_a_cleanup_that_fails_are_cleaned_up() {
    let reports = Reports::new();
    let runtime = reports.builder().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for hangs in [false, true] {
            let closed = Closed::new();
            let count = Rc::clone(&closed.count);
            let body = async || {
                drop(defer(async move {
                    let _guard = closed.guard();
                    if hangs {
                        pending::<()>().await;
                    }
                    panic!("in a cleanup");
                }));
            };
            assert!(cancel_scope(async |_| body().await).await.is_ok());
            assert_eq!(count.get(), LEVELS);
        }
    });
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].is_panic() && failures[1].is_timeout());
}

/// A scope that moves to another task waits for the cleanups that the first task has to
/// run, and for the ones that the second has.
#[coreloop::test(start_paused = true)]
async fn a_scope_that_moves_waits_for_both_tasks() {
    let (first, second) = (Closed::new(), Closed::new());
    let (here, there) = (first.clone(), second.clone());
    let mut moves = Box::pin(cancel_scope(async move |_| {
        let inner = cancel_scope(async |_| {
            drop(here.guard());
            let mut is_first = true;
            poll_fn(|_| match std::mem::take(&mut is_first) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            drop(there.guard());
        });
        assert!(inner.await.is_ok());
    }));
    let (send, receive) = oneshot::channel();
    let begins = spawn(async move {
        poll_fn(|context| {
            assert!(moves.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(send.send(moves).is_ok());
    });
    let moved = receive.await.unwrap();
    let goes_on = spawn(moved);
    assert!(goes_on.await.unwrap().is_ok());
    first.assert();
    second.assert();
    begins.await.unwrap();
}

/// The task is aborted while it waits for cleanups.
#[coreloop::test(start_paused = true)]
async fn a_part_may_be_aborted_while_it_waits_for_cleanups() {
    for at in 0..LEVELS {
        let closed = Closed::new();
        let waits = closed.clone();
        let task = spawn(async move {
            let inner = scope(async |scope| scope.spawn(waits.clone().returns()).await);
            race!(inner, pending());
            unreachable!("the task was aborted before");
        });
        ticks(at).await;
        yield_now().await;
        assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
        closed.assert();
    }
}

/// The cleanups of a scope are counted where the scope was polled last.
#[coreloop::test(start_paused = true)]
async fn a_scope_that_moves_takes_its_cleanups_along() {
    /// Polls a future, which waits.
    async fn poll_once(future: &RefCell<Pin<Box<impl Future>>>) {
        poll_fn(|context| {
            assert!(future.borrow_mut().as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    let closed = Closed::new();
    let leaves = || {
        RefCell::new(Box::pin(cancel_scope(async |_| {
            drop(closed.guard());
            pending::<()>().await;
        })))
    };
    // Into a scope.
    let moves = leaves();
    poll_once(&moves).await;
    let around = cancel_scope(async |_| poll_once(&moves).await);
    assert!(around.await.is_ok());
    closed.assert();

    // From one scope to the one around.
    let moves = leaves();
    let around = cancel_scope(async |_| {
        let inner = cancel_scope(async |_| poll_once(&moves).await);
        let inner = RefCell::new(Box::pin(inner));
        poll_once(&inner).await;
        poll_once(&moves).await;
        assert!(inner.into_inner().await.is_ok());
        assert_eq!(closed.count.get(), LEVELS);
    });
    assert!(around.await.is_ok());
    assert_eq!(closed.count.get(), 2 * LEVELS);

    // Out of all scopes.
    let moves = leaves();
    let around = cancel_scope(async |_| poll_once(&moves).await);
    let around = RefCell::new(Box::pin(around));
    poll_once(&around).await;
    poll_once(&moves).await;
    assert!(around.into_inner().await.is_ok());
    assert_eq!(closed.count.get(), 2 * LEVELS);
    flush().await;
    assert_eq!(closed.count.get(), 3 * LEVELS);
}
