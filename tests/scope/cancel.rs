//! Cancelling a part of a task.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use coreloop::cleanup::{bracket, defer, flush, shield};
use coreloop::scope::{self, Canceller, cancel_scope, timeout_at};
use coreloop::task::{AbortHandle, yield_now};
use coreloop::time::Instant;
use coreloop::{join, select, spawn};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use coreloop_test_support::trace::{TICK, Trace, ticks};

/// Cancels after `count` ticks, from another task.
fn cancel_after(canceller: &Canceller, count: u32) {
    let canceller = canceller.clone();
    drop(spawn(async move {
        ticks(count).await;
        canceller.cancel();
    }));
}

/// A bracket whose body never ends.
fn used(trace: &Trace, name: &'static str, count: u32) -> impl Future<Output = ()> + use<> {
    let close = trace.closing(count);
    bracket(async move || name, async |_| pending::<()>().await, close)
}

#[coreloop::test(start_paused = true)]
async fn a_cancelled_scope_closes_its_brackets_and_makes_no_more_progress() {
    let trace = Trace::new();
    let steps = Cell::new(0);
    let result = cancel_scope(async |canceller| {
        cancel_after(&canceller, 2);
        let busy = async {
            loop {
                ticks(1).await;
                steps.set(steps.get() + 1);
            }
        };
        join!(used(&trace, "a", 5), used(&trace, "b", 9), busy)
    });
    assert!(result.await.is_err());
    trace.note("cancelled");
    assert_eq!(steps.get(), 1);
    trace.assert(&[
        "2 a begin",
        "2 b begin",
        "7 a end",
        "11 b end",
        "11 cancelled",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn a_cancelled_scope_reaches_through_futures_unordered() {
    let trace = Trace::new();
    let result = cancel_scope(async |canceller| {
        cancel_after(&canceller, 2);
        let crowd: FuturesUnordered<_> = [("a", 1), ("b", 2), ("c", 3)]
            .map(|(name, count)| used(&trace, name, count))
            .into_iter()
            .collect();
        crowd.collect::<Vec<_>>().await
    });
    assert!(result.await.is_err());
    trace.note("cancelled");
    assert_eq!(
        trace.events()[3..],
        ["3 a end", "4 b end", "5 c end", "5 cancelled"]
    );
}

#[coreloop::test(start_paused = true)]
async fn the_guards_of_a_cancelled_scope_are_closed_when_it_returns() {
    let trace = Trace::new();
    let result = cancel_scope(async |canceller| {
        let _guard = trace.guard("a", 3);
        canceller.cancel();
        ticks(1).await;
        trace.note("continued");
    });
    assert!(result.await.is_err());
    trace.note("cancelled");
    trace.assert(&["0 a begin", "3 a end", "3 cancelled"]);
}

#[coreloop::test(start_paused = true)]
async fn cancelling_from_inside_takes_effect_at_the_next_wait() {
    let result = cancel_scope(async |canceller| {
        yield_now().await;
        canceller.cancel();
        assert!(canceller.is_cancelled());
        yield_now().await;
        unreachable!("the body continued");
    });
    assert!(result.await.is_err());
    let returned = cancel_scope(async |canceller| {
        canceller.cancel();
        "done before the next wait"
    });
    assert!(returned.await.is_ok());
    // The code around the scope is not frozen.
    yield_now().await;
}

/// asyncio counts requests to cancel, and loses count where they meet.
/// <https://github.com/python/cpython/issues/95289>,
/// <https://github.com/python/cpython/issues/116720>
#[coreloop::test(start_paused = true)]
async fn of_two_scopes_that_are_cancelled_at_once_only_the_outer_one_returns() {
    for inner_first in [true, false] {
        let inner_returned = Cell::new(false);
        let outer_result = cancel_scope(async |outer| {
            let result = cancel_scope(async |inner| {
                let (first, second) = if inner_first {
                    (inner, outer)
                } else {
                    (outer, inner)
                };
                drop(spawn(async move {
                    ticks(1).await;
                    first.cancel();
                    second.cancel();
                }));
                pending::<()>().await;
            });
            let _ = result.await;
            inner_returned.set(true);
        });
        assert!(outer_result.await.is_err());
        assert!(!inner_returned.get());
    }
}

/// After a cancelled scope has returned, nothing of it cancels later code.
/// <https://github.com/python/cpython/issues/155433>
#[coreloop::test(start_paused = true)]
async fn a_cancelled_scope_that_has_returned_cancels_nothing_else() {
    let outer_result = cancel_scope(async |outer| {
        for _ in 0..3 {
            let result = cancel_scope(async |inner| {
                inner.cancel();
                ticks(1).await;
            });
            assert!(result.await.is_err());
        }
        ticks(1).await;
        assert!(!outer.is_cancelled());
        let late = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&late);
        assert!(
            cancel_scope(async |gone| *kept.borrow_mut() = Some(gone))
                .await
                .is_ok()
        );
        late.take().unwrap().cancel();
        ticks(1).await;
        "done"
    });
    assert_eq!(outer_result.await, Ok("done"));
}

#[coreloop::test(start_paused = true)]
async fn an_inner_scope_that_cleans_up_is_cancelled_by_the_outer_one() {
    let trace = Trace::new();
    let result = cancel_scope(async |outer| {
        cancel_after(&outer, 2);
        let inner = cancel_scope(async |inner| {
            cancel_after(&inner, 1);
            used(&trace, "a", 3).await;
        });
        let _ = inner.await;
        trace.note("continued");
    });
    assert!(result.await.is_err());
    trace.note("cancelled");
    trace.assert(&["1 a begin", "4 a end", "4 cancelled"]);
}

#[coreloop::test(start_paused = true)]
async fn a_shield_holds_for_scopes_and_scopes_work_inside_it() {
    let trace = Trace::new();
    let result = cancel_scope(async |outer| {
        cancel_after(&outer, 1);
        shield(async {
            ticks(2).await;
            let inner = cancel_scope(async |inner| {
                inner.cancel();
                ticks(9).await;
            });
            assert!(inner.await.is_err());
            trace.note("shielded");
        })
        .await;
        trace.note("continued");
    });
    assert!(result.await.is_err());
    trace.note("cancelled");
    trace.assert(&["2 shielded", "2 cancelled"]);
}

#[coreloop::test(start_paused = true)]
async fn an_abort_cancels_the_scopes_of_the_task() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let result = cancel_scope(async |_| used(&trace, "a", 2).await);
            let _ = result.await;
            trace.note("continued");
        }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&["1 a begin", "3 a end"]);
}

#[coreloop::test(start_paused = true)]
async fn a_scope_dropped_by_select_leaves_its_cleanups_to_the_queue() {
    let trace = Trace::new();
    select! {
        _ = cancel_scope(async |_| used(&trace, "a", 2).await) => unreachable!(),
        () = ticks(1) => {}
    }
    flush().await;
    trace.assert(&["1 a begin", "3 a end"]);
}

#[coreloop::test(start_paused = true)]
async fn a_deadline_waits_for_the_cleanup() {
    let trace = Trace::new();
    let start = Instant::now();
    assert!(
        timeout_at(start + 2 * TICK, used(&trace, "a", 3))
            .await
            .is_err()
    );
    trace.note("late");
    assert_eq!(timeout_at(start + 9 * TICK, async { 1 }).await, Ok(1));
    // A deadline that has passed does not affect a future that need not wait.
    assert_eq!(timeout_at(start, async { 2 }).await, Ok(2));
    assert!(timeout_at(start, ticks(1)).await.is_err());
    trace.note("at once");
    trace.assert(&["2 a begin", "5 a end", "5 late", "5 at once"]);
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_is_a_deadline_from_now_on() {
    let trace = Trace::new();
    let late = scope::timeout(2 * TICK, used(&trace, "a", 3));
    // The duration begins with the call.
    ticks(1).await;
    assert!(late.await.is_err());
    trace.note("late");
    assert_eq!(scope::timeout(TICK, async { 1 }).await, Ok(1));
    assert_eq!(scope::timeout(Duration::ZERO, async { 2 }).await, Ok(2));
    assert!(scope::timeout(Duration::ZERO, ticks(1)).await.is_err());
    assert_eq!(scope::timeout(Duration::MAX, async { 3 }).await, Ok(3));
    trace.assert(&["2 a begin", "5 a end", "5 late"]);
}

#[coreloop::test(start_paused = true)]
async fn of_two_equal_deadlines_only_the_outer_one_returns() {
    let start = Instant::now();
    let inner_returned = Cell::new(false);
    let outer = timeout_at(start + TICK, async {
        let _ = timeout_at(start + TICK, pending::<()>()).await;
        inner_returned.set(true);
    });
    assert!(outer.await.is_err());
    assert!(!inner_returned.get());
}

/// The scope does not wait for its guard, because cleanups that a cleanup queues run
/// after it.
#[coreloop::test(start_paused = true)]
async fn a_cleanup_may_use_a_scope_that_is_cancelled() {
    let trace = Trace::new();
    let noting = trace.clone();
    let guard = defer(async move {
        let result = cancel_scope(async |canceller| {
            let _inner = noting.guard("inner", 1);
            canceller.cancel();
            ticks(5).await;
        });
        assert!(result.await.is_err());
        noting.note("outer end");
    });
    drop(guard);
    flush().await;
    flush().await;
    trace.assert(&["0 outer end", "0 inner begin", "1 inner end"]);
}

#[coreloop::test(start_paused = true)]
async fn a_panic_in_a_scope_propagates_after_the_cleanups() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let result = cancel_scope(async |_| {
                let body = async |_: &mut &str| panic!("in the body");
                bracket(async || "a", body, trace.closing(1)).await;
            });
            let _ = result.await;
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    trace.assert(&["0 a begin", "1 a end"]);
}

#[coreloop::test(start_paused = true)]
async fn an_abort_at_every_poll_of_nested_scopes_closes_all() {
    for at in 0..8 {
        let trace = Trace::new();
        let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
        let task = spawn({
            let (trace, own) = (trace.clone(), Rc::clone(&own));
            async move {
                let abort = |step| {
                    if step == at {
                        own.borrow().as_ref().unwrap().abort();
                    }
                };
                let result = cancel_scope(async |outer| {
                    abort(0);
                    let close = trace.closing(1);
                    let body = async |_: &mut &str| {
                        abort(1);
                        yield_now().await;
                        abort(2);
                        let inner = cancel_scope(async |inner| {
                            let _guard = trace.guard("guard", 1);
                            yield_now().await;
                            abort(3);
                            inner.cancel();
                            yield_now().await;
                        });
                        assert!(inner.await.is_err());
                        abort(4);
                        outer.cancel();
                        abort(5);
                        yield_now().await;
                        unreachable!("the body continued");
                    };
                    bracket(async || "bracket", body, close).await;
                });
                assert!(result.await.is_err());
                abort(6);
                yield_now().await;
            }
        });
        *own.borrow_mut() = Some(task.abort_handle());
        assert_eq!(task.await.is_ok(), at > 6, "at {at}");
        let events = trace.events();
        let count = |text: &str| events.iter().filter(|event| event.ends_with(text)).count();
        assert_eq!(count("bracket begin"), 1, "at {at}: {events:?}");
        assert_eq!(count("begin"), count("end"), "at {at}: {events:?}");
    }
}
