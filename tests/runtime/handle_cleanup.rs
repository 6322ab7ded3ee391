//! Tasks of `Handle::spawn` with cleanups: they finish after their cleanups, and a panic
//! is reported once, unless the handle returns it.

use std::future::pending;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::cleanup::{CleanupFailure, defer};
use coreloop::runtime::UnhandledPanic;
use coreloop::task::{RemoteJoinHandle, yield_now};
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::text_of;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::trace::{TICK, ticks};

/// Creates a runtime with a paused clock, and a log of its reports.
fn reporting(policy: UnhandledPanic) -> (Runtime, Reports) {
    let reports = Reports::new();
    let runtime = reports
        .builder()
        .unhandled_panic(policy)
        .start_paused(true)
        .build()
        .unwrap();
    (runtime, reports)
}

/// Spawns a task that panics, with a cleanup of two ticks that drops another guard.
fn panics(runtime: &Runtime) -> RemoteJoinHandle<()> {
    runtime.handle().spawn(|| async {
        let _guard = defer(async {
            let _inner = defer(async { ticks(1).await });
            ticks(1).await;
        });
        yield_now().await;
        panic!("with a guard");
    })
}

/// Lets tasks that were spawned by a handle start, and run until they wait for the clock.
/// While other tasks are ready, one spawn request is taken in about thirty polls.
async fn let_tasks_start() {
    for _ in 0..200 {
        yield_now().await;
    }
}

#[test]
fn a_panic_that_the_handle_returns_is_not_reported() {
    let (runtime, _reports) = reporting(UnhandledPanic::Report);
    let task = panics(&runtime);
    let error = runtime.block_on(async {
        ticks(1).await;
        assert!(!task.is_finished());
        task.await.unwrap_err()
    });
    assert!(error.is_panic());
}

#[test]
fn a_panic_of_a_detached_task_is_reported_once_and_after_its_cleanups() {
    let (runtime, reports) = reporting(UnhandledPanic::Report);
    let task = panics(&runtime);
    let id = task.id();
    drop(task);
    runtime.block_on(ticks(1));
    assert!(reports.take().is_empty());
    runtime.block_on(ticks(2));
    let [report] = &reports.take()[..] else {
        panic!("there is one report");
    };
    assert_eq!(report.task().id(), id);
    assert_eq!(report.task().spawned_at().file(), file!());
    assert_eq!(report.message(), Some("with a guard"));
    assert!(runtime.shutdown(Duration::ZERO).is_clean());
}

#[test]
fn a_panic_whose_handle_is_dropped_later_is_reported_once() {
    let (runtime, reports) = reporting(UnhandledPanic::Report);
    let task = panics(&runtime);
    runtime.block_on(ticks(3));
    assert!(task.is_finished());
    assert!(reports.take().is_empty());
    drop(task);
    runtime.block_on(ticks(1));
    assert_eq!(reports.messages(), ["with a guard"]);
}

#[test]
fn a_panic_of_a_detached_task_ends_the_runtime_if_so_configured() {
    for guarded in [false, true] {
        let (runtime, reports) = reporting(UnhandledPanic::ShutdownRuntime);
        if guarded {
            drop(panics(&runtime));
        } else {
            drop(runtime.handle().spawn(|| async { panic!("with a guard") }));
        }
        let panic = text_of(|| runtime.block_on(pending::<()>()));
        assert_eq!(panic.as_deref(), Some("with a guard"));
        assert_eq!(reports.messages(), ["with a guard"]);
    }
}

#[test]
fn a_panic_of_a_destructor_comes_after_the_cleanups() {
    let (runtime, reports) = reporting(UnhandledPanic::Report);
    for is_awaited in [true, false] {
        let task = runtime.handle().spawn(|| async {
            let _panics = OnDrop::new(|| panic!("in the destructor"));
            let _guard = defer(ticks(2));
            pending::<()>().await;
        });
        runtime.block_on(async {
            let_tasks_start().await;
            task.abort();
            ticks(1).await;
            assert!(!task.is_finished());
            if is_awaited {
                assert!(task.await.unwrap_err().is_panic());
            } else {
                drop(task);
                ticks(2).await;
                assert_eq!(reports.messages(), ["in the destructor"]);
            }
        });
    }
}

/// As for any task, the outcome is what the future returned.
#[test]
fn a_runtime_that_is_dropped_before_the_cleanups_end_loses_no_outcome() {
    let (runtime, reports) = reporting(UnhandledPanic::Report);
    let panicking = panics(&runtime);
    let detached = panics(&runtime);
    let returning = runtime.handle().spawn(|| async {
        let _guard = defer(ticks(100));
        7
    });
    let local = runtime.spawn(async {
        let _guard = defer(ticks(100));
        7
    });
    drop(detached);
    runtime.block_on(let_tasks_start());
    assert!(!returning.is_finished() && !panicking.is_finished());
    drop(runtime);
    assert_eq!(reports.messages(), ["with a guard"]);
    let failures = reports.cleanups();
    assert!(failures.iter().all(CleanupFailure::is_abandoned));
    coreloop::block_on(async {
        assert_eq!(local.await.unwrap(), 7);
        assert_eq!(returning.await.unwrap(), 7);
        assert!(panicking.await.unwrap_err().is_panic());
    });
    assert_eq!(failures.len(), 6, "{failures:#?}");
}

/// The output of a detached task is dropped when the task finishes.
#[test]
fn an_output_that_is_not_taken_may_hold_a_guard() {
    let (runtime, _reports) = reporting(UnhandledPanic::Report);
    let (send, receive) = std::sync::mpsc::channel();
    drop(runtime.handle().spawn(move || async move {
        let _guard = defer(ticks(1));
        OnDrop::new(move || send.send(()).unwrap())
    }));
    runtime.block_on(async {
        yield_now().await;
        yield_now().await;
        assert!(receive.try_recv().is_err());
        coreloop::time::sleep(2 * TICK).await;
        assert!(receive.try_recv().is_ok());
    });
}
