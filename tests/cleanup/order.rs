//! The order in which cleanups run, in unusual places.

use std::future::{Ready, pending, ready};
use std::panic::AssertUnwindSafe;

use coreloop::cleanup::{AsyncGuard, CleanupFailure, bracket, defer};
use coreloop::scope::{cancel_scope, scope};
use coreloop::spawn;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use coreloop_test_support::panics::recorded;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::trace::{Trace, ticks};

/// Regression: an abort waited for a poll of a scope that was already cleaning up, but
/// did not wake it. In a set that polls only futures that were woken, the scope was so
/// taken for unreachable, and the bracket around it closed before it.
#[coreloop::test(start_paused = true)]
async fn an_abort_waits_for_a_scope_that_is_already_cleaning_up() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let body = async |_: &mut &str| {
                let inner = cancel_scope(async |canceller| {
                    spawn(async move {
                        ticks(1).await;
                        canceller.cancel();
                    });
                    let close = trace.closing(5);
                    bracket(async || "inner", async |_| pending::<()>().await, close).await;
                });
                let mut set = FuturesUnordered::new();
                set.push(inner);
                set.next().await;
                pending::<()>().await;
            };
            bracket(async || "outer", body, trace.closing(1)).await;
        }
    });
    ticks(3).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&[
        "1 inner begin",
        "6 inner end",
        "6 outer begin",
        "7 outer end",
    ]);
}

/// The same in a scope with enough children that each has a waker of its own.
#[coreloop::test(start_paused = true)]
async fn a_second_cancellation_waits_for_the_children_of_the_first() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let body = async |_: &mut &str| {
                scope(async |scope| {
                    for _ in 0..20 {
                        drop(scope.spawn(pending::<()>()));
                    }
                    drop(scope.spawn(async {
                        let _ = cancel_scope(async |canceller| {
                            spawn(async move {
                                ticks(1).await;
                                canceller.cancel();
                            });
                            let close = trace.closing(5);
                            bracket(async || "inner", async |_| pending::<()>().await, close).await;
                        })
                        .await;
                    }));
                })
                .await;
            };
            bracket(async || "outer", body, trace.closing(1)).await;
        }
    });
    ticks(3).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&[
        "1 inner begin",
        "6 inner end",
        "6 outer begin",
        "7 outer end",
    ]);
}

/// Regression: the cleanup queue was borrowed while it dropped abandoned cleanups.
#[test]
fn abandoned_cleanups_may_hold_guards() {
    let reports = Reports::new();
    let builder = reports.builder().start_paused(true);
    let runtime = builder.build().unwrap();
    let ((), panics) = recorded(|| {
        runtime.block_on(async {
            let task = spawn(async {
                let _second = AsyncGuard::new(defer(async {}), async |inner| drop(inner));
                let _first = defer(pending());
                ticks(1).await;
            });
            ticks(2).await;
            drop(task);
        });
        drop(runtime);
    });
    assert_eq!(panics, [""; 0]);
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert!(failures.iter().all(CleanupFailure::is_abandoned));
}

/// A body need not be an async closure, and may panic before there is a future.
#[coreloop::test(start_paused = true)]
async fn a_bracket_closes_if_its_body_panics_when_it_is_called() {
    fn body(_: &mut &str) -> Ready<()> {
        if true {
            panic!("called");
        }
        ready(())
    }

    let trace = Trace::new();
    let used = bracket(async || "it", body, trace.closing(1));
    let panic = AssertUnwindSafe(used).catch_unwind().await.unwrap_err();
    trace.note("out");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"called"));
    trace.assert(&["0 it begin", "1 it end", "1 out"]);
}
