//! The order and the times of cleanups, on every way out of a task.

use std::future::pending;
use std::time::Duration;

use coreloop::cleanup::{AsyncGuard, bracket, flush, shield};
use coreloop::task::{JoinHandle, yield_now};
use coreloop::{select, spawn};

use coreloop_test_support::clock::paused;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::trace::{TICK, Trace, ticks};

/// Aborts the task after `count` ticks, and waits until it has finished.
async fn abort_after<T>(trace: &Trace, count: u32, task: JoinHandle<T>) {
    ticks(count).await;
    match task.abort_and_wait().await {
        Ok(_) => trace.note("returned"),
        Err(error) if error.is_cancelled() => trace.note("cancelled"),
        Err(_) => trace.note("panicked"),
    }
}

#[coreloop::test(start_paused = true)]
async fn guards_of_an_aborted_task_close_last_first() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let _first = trace.guard("a", 5);
            let _second = trace.guard("b", 9);
            pending::<()>().await;
        }
    });
    abort_after(&trace, 1, task).await;
    trace.assert(&[
        "1 b begin",
        "10 b end",
        "10 a begin",
        "15 a end",
        "15 cancelled",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn the_fields_of_a_value_close_first_to_last() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let _pair = (trace.guard("first", 1), trace.guard("second", 1));
            pending::<()>().await;
        }
    });
    abort_after(&trace, 1, task).await;
    let expected = [
        "1 first begin",
        "2 first end",
        "2 second begin",
        "3 second end",
    ];
    assert_eq!(trace.events()[..4], expected);
}

/// The inner cleanup works with a local variable of the body around it.
#[coreloop::test(start_paused = true)]
async fn brackets_close_from_the_inside_out() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let close = trace.closing(3);
            bracket(
                async || "outer",
                async |_| {
                    bracket(
                        async || "inner",
                        async |_| {
                            pending::<()>().await;
                            trace.note("continued in the inner body");
                        },
                        trace.closing(3),
                    )
                    .await;
                    trace.note("continued in the outer body");
                },
                close,
            )
            .await;
            trace.note("continued");
        }
    });
    abort_after(&trace, 1, task).await;
    trace.assert(&[
        "1 inner begin",
        "4 inner end",
        "4 outer begin",
        "7 outer end",
        "7 cancelled",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn the_guards_of_a_body_that_panics_close() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let _guard = trace.guard("a", 2);
            ticks(1).await;
            panic!("in the body");
        }
    });
    let error = task.await.unwrap_err();
    assert!(error.is_panic());
    trace.note("joined");
    trace.assert(&["1 a begin", "3 a end", "3 joined"]);
}

#[coreloop::test(start_paused = true)]
async fn a_shield_completes_but_the_code_after_it_does_not_run() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            shield(trace.step("shielded", 10)).await;
            trace.note("the rest");
            ticks(1).await;
        }
    });
    abort_after(&trace, 1, task).await;
    trace.assert(&["0 shielded begin", "10 shielded end", "10 cancelled"]);
}

#[test]
fn a_cleanup_that_panics_does_not_stop_the_next() {
    let reports = Reports::new();
    let runtime = reports.builder().start_paused(true).build().unwrap();
    let id = runtime.block_on(async {
        let trace = Trace::new();
        let task = spawn({
            let trace = trace.clone();
            async move {
                let _second = trace.guard("second", 1);
                let noting = trace.clone();
                let _first = AsyncGuard::new((), async move |()| {
                    noting.note("panics");
                    panic!("in a cleanup");
                });
                "the output"
            }
        });
        let id = task.id();
        assert_eq!(task.await.unwrap(), "the output");
        trace.assert(&["0 panics", "0 second begin", "1 second end"]);
        id
    });
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].is_panic());
    assert_eq!(failures[0].task().unwrap().id(), id);
}

#[coreloop::test(start_paused = true)]
async fn a_bracket_that_select_drops_closes_in_the_cleanup_queue() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let mut borrowed = 0;
            let used = bracket(
                async || "a",
                async |_| {
                    borrowed += 1;
                    pending::<()>().await;
                },
                trace.closing(3),
            );
            select! {
                () = used => unreachable!(),
                () = ticks(1) => trace.note("the other branch"),
            }
            assert_eq!(borrowed, 1);
            ticks(1).await;
            trace.note("continued");
        }
    });
    task.await.unwrap();
    trace.note("joined");
    trace.assert(&[
        "1 the other branch",
        "1 a begin",
        "2 continued",
        "4 a end",
        "4 joined",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn a_guard_inside_a_cleanup_closes_after_it() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let inside = trace.clone();
            let _guard = AsyncGuard::new((), async move |()| {
                let _inner = inside.guard("inner", 2);
                inside.step("outer", 1).await;
            });
        }
    });
    task.await.unwrap();
    trace.note("joined");
    trace.assert(&[
        "0 outer begin",
        "1 outer end",
        "1 inner begin",
        "3 inner end",
        "3 joined",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn the_cleanup_of_a_guard_dropped_early_overlaps_the_code_after_it() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            {
                let _guard = trace.guard("a", 5);
                ticks(1).await;
            }
            trace.note("after");
            ticks(2).await;
            trace.note("body end");
        }
    });
    task.await.unwrap();
    trace.note("joined");
    trace.assert(&["1 after", "1 a begin", "3 body end", "6 a end", "6 joined"]);
}

#[coreloop::test(start_paused = true)]
async fn a_cancelled_open_has_nothing_to_close() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let open = async || {
                ticks(5).await;
                trace.note("opened");
                "a"
            };
            bracket(open, async |_| trace.note("body"), trace.closing(1)).await;
        }
    });
    abort_after(&trace, 2, task).await;
    trace.assert(&["2 cancelled"]);
}

#[coreloop::test(start_paused = true)]
async fn a_bracket_that_is_never_polled_opens_nothing() {
    let trace = Trace::new();
    let open = async || {
        trace.note("opened");
        "a"
    };
    drop(bracket(
        open,
        async |_| trace.note("body"),
        trace.closing(1),
    ));
    ticks(1).await;
    trace.assert(&[]);
}

#[coreloop::test(start_paused = true)]
async fn a_bracket_closes_on_success_and_on_a_panic() {
    let trace = Trace::new();
    let output = bracket(async || "a", async |name| name.len(), trace.closing(1)).await;
    assert_eq!(output, 1);
    trace.note("continued");
    let task = spawn({
        let trace = trace.clone();
        async move {
            let body = async |_: &mut &str| panic!("in the body");
            bracket(async || "b", body, trace.closing(2)).await;
        }
    });
    let error = task.await.unwrap_err();
    assert_eq!(
        *error.into_panic().downcast::<&str>().unwrap(),
        "in the body"
    );
    trace.note("joined");
    trace.assert(&[
        "0 a begin",
        "1 a end",
        "1 continued",
        "1 b begin",
        "3 b end",
        "3 joined",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn flush_waits_for_guards_that_were_dropped_before() {
    let trace = Trace::new();
    drop(trace.guard("a", 2));
    drop(trace.guard("b", 1));
    flush().await;
    trace.note("through");
    flush().await;
    trace.assert(&["0 a begin", "2 a end", "2 b begin", "3 b end", "3 through"]);
}

#[coreloop::test(start_paused = true)]
async fn a_guard_that_is_closed_or_disarmed_queues_no_cleanup() {
    let trace = Trace::new();
    trace.guard("a", 2).close().await;
    trace.note("closed");
    assert_eq!(trace.guard("b", 2).disarm(), "b");
    flush().await;
    trace.assert(&["0 a begin", "2 a end", "2 closed"]);
}

#[coreloop::test(start_paused = true)]
async fn a_close_that_has_begun_completes_despite_an_abort() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            trace.guard("a", 3).close().await;
            trace.note("continued");
            yield_now().await;
        }
    });
    abort_after(&trace, 1, task).await;
    trace.assert(&["0 a begin", "3 a end", "3 cancelled"]);
}

#[coreloop::test(start_paused = true)]
async fn the_rest_of_a_close_that_is_dropped_runs_in_the_cleanup_queue() {
    let trace = Trace::new();
    let closing = trace.guard("a", 3).close();
    let limited = coreloop::time::timeout(TICK, closing).await;
    assert!(limited.is_err());
    trace.note("given up");
    flush().await;
    trace.assert(&["0 a begin", "1 given up", "3 a end"]);
}

#[test]
fn the_guards_of_the_root_are_closed_before_block_on_returns() {
    let runtime = paused();
    let trace = runtime.block_on(async { Trace::new() });
    runtime.block_on(async {
        let _guard = trace.guard("a", 7);
    });
    runtime.block_on(async { trace.note("next") });
    trace.assert(&["0 a begin", "7 a end", "7 next"]);
    assert_eq!(runtime.next_timer(), None);
    assert!(runtime.shutdown(Duration::ZERO).is_clean());
}
