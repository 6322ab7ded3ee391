//! `Runtime::shutdown`: what finishes before the deadline, and what the report names
//! after it.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use coreloop::runtime::{Builder, Runtime, UnhandledPanic};
use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep};

use coreloop_test_support::clock::paused;
use coreloop_test_support::reports::Reports;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_runtime_without_tasks_shuts_down_at_once() {
    let report = Runtime::new().unwrap().shutdown(Duration::MAX);
    assert!(report.is_clean());
    assert_eq!(report.to_string(), "everything finished in time");
}

#[test]
fn tasks_have_until_the_deadline() {
    let runtime = paused();
    let done = Rc::new(RefCell::new(Vec::new()));
    for seconds in [1, 2, 3] {
        let done = Rc::clone(&done);
        drop(runtime.spawn(async move {
            sleep(seconds * SECOND).await;
            done.borrow_mut().push(seconds);
        }));
    }
    let line = line!() - 5;
    let report = runtime.shutdown(SECOND * 5 / 2);
    assert_eq!(*done.borrow(), [1, 2]);
    assert_eq!(report.tasks().len(), 1);
    let place = report.tasks()[0].spawned_at();
    assert_eq!((place.file(), place.line()), (file!(), line));
    let id = report.tasks()[0].id();
    assert_eq!(
        report.to_string(),
        format!("abandoned task {id} spawned at {place}")
    );
}

#[test]
fn the_shutdown_ends_with_the_last_task() {
    let runtime = paused();
    let start = runtime.block_on(async { Instant::now() });
    let ended = Rc::new(Cell::new(None));
    drop(runtime.spawn({
        let ended = Rc::clone(&ended);
        async move {
            sleep(SECOND).await;
            ended.set(Some(Instant::now()));
        }
    }));
    assert!(runtime.shutdown(Duration::MAX).is_clean());
    assert_eq!(ended.get(), Some(start + SECOND));
}

#[test]
fn a_shutdown_waits_for_tasks_that_are_spawned_meanwhile() {
    let runtime = paused();
    let done = Rc::new(Cell::new(false));
    drop(runtime.spawn({
        let done = Rc::clone(&done);
        async move {
            sleep(SECOND).await;
            drop(spawn(async move {
                sleep(SECOND).await;
                done.set(true);
            }));
        }
    }));
    assert!(runtime.shutdown(3 * SECOND).is_clean());
    assert!(done.get());
}

#[test]
fn a_shutdown_without_time_runs_ready_tasks_once_more() {
    let runtime = Runtime::new().unwrap();
    let polled = Rc::new(Cell::new(0));
    drop(runtime.spawn({
        let polled = Rc::clone(&polled);
        async move {
            polled.set(polled.get() + 1);
            pending::<()>().await;
        }
    }));
    let report = runtime.shutdown(Duration::ZERO);
    assert_eq!(polled.get(), 1);
    assert_eq!(report.tasks().len(), 1);
}

#[test]
fn a_busy_task_does_not_delay_the_deadline() {
    let runtime = Runtime::new().unwrap();
    drop(runtime.spawn(async {
        loop {
            yield_now().await;
        }
    }));
    let report = runtime.shutdown(Duration::from_millis(1));
    assert_eq!(report.tasks().len(), 1);
}

#[test]
fn abandoned_tasks_are_dropped_before_the_report() {
    let runtime = paused();
    let held = Rc::new(());
    drop(runtime.spawn({
        let held = Rc::clone(&held);
        async move {
            let _held = held;
            pending::<()>().await;
        }
    }));
    let handle = runtime.spawn(pending::<()>());
    let report = runtime.shutdown(SECOND);
    assert_eq!(report.tasks().len(), 2);
    assert_eq!(Rc::strong_count(&held), 1);
    let error = coreloop::block_on(handle).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn blocking_work_has_until_the_deadline() {
    let (release, blocked) = mpsc::channel::<()>();
    let (started, starts) = mpsc::channel();
    let runtime = Runtime::new().unwrap();
    drop(runtime.spawn_blocking(move || {
        started.send(()).unwrap();
        blocked.recv()
    }));
    starts.recv().unwrap();
    let releasing = thread::spawn(move || drop(release));
    let report = runtime.shutdown(Duration::MAX);
    assert!(report.is_clean(), "{report}");
    releasing.join().unwrap();
}

#[test]
fn a_shutdown_waits_for_blocking_work_of_other_threads() {
    let (release, blocked) = mpsc::channel::<()>();
    let (started, starts) = mpsc::channel();
    // The deadline passes even with a paused clock, which would wait for the job for
    // ever.
    let runtime = paused();
    let handle = runtime.handle();
    let line = line!() + 2;
    thread::spawn(move || {
        drop(handle.spawn_blocking(move || {
            started.send(()).unwrap();
            blocked.recv()
        }));
    })
    .join()
    .unwrap();
    starts.recv().unwrap();
    let report = runtime.shutdown(Duration::from_millis(1));
    assert!(!report.is_clean());
    assert!(
        report.tasks().is_empty(),
        "the runtime's own tasks are not reported"
    );
    let place = report.blocking()[0].spawned_at();
    assert_eq!((place.file(), place.line()), (file!(), line));
    let text = format!("left behind blocking work spawned at {place}");
    assert_eq!(report.to_string(), text);
    drop(release);
}

/// Regression: the last task ended with its slice, before its spawn request had become a
/// task. The request was dropped, and the report did not name it.
#[test]
fn a_shutdown_waits_for_spawn_requests() {
    // When polls are timed, the slice ends with the first task that takes as long as a
    // slice.
    let runtime = Builder::new().slow_poll(Duration::MAX).build().unwrap();
    let handle = runtime.handle();
    // The runtime's task behind the handles now waits for spawn requests.
    runtime.block_on(yield_now());
    let (send, done) = mpsc::channel();
    drop(runtime.spawn(async move {
        drop(handle.spawn(move || async move { send.send(()).unwrap() }));
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
    }));
    assert!(runtime.shutdown(Duration::MAX).is_clean());
    assert_eq!(done.recv(), Ok(()));
}

#[test]
fn a_shutdown_waits_for_tasks_that_blocking_work_spawns_at_its_end() {
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let (send, done) = mpsc::channel();
        drop(runtime.handle().spawn_blocking(move || {
            drop(handle.spawn(move || async move { send.send(()).unwrap() }));
        }));
        assert!(runtime.shutdown(Duration::MAX).is_clean());
        assert_eq!(done.recv(), Ok(()));
    }
}

#[test]
fn a_shutdown_inside_a_runtime_is_refused() {
    coreloop::block_on(async {
        let inner = Runtime::new().unwrap();
        let refused = catch_unwind(AssertUnwindSafe(|| inner.shutdown(Duration::ZERO)));
        let message = refused.unwrap_err();
        let message = message.downcast_ref::<&str>().unwrap();
        assert!(message.contains("within a runtime"), "{message}");
    });
}

#[test]
fn a_panic_that_ends_the_runtime_propagates_from_the_shutdown() {
    let reports = Reports::new();
    let runtime = reports
        .builder()
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()
        .unwrap();
    drop(runtime.spawn(async { panic!("at the very end") }));
    drop(runtime.spawn(pending::<()>()));
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.shutdown(Duration::MAX)));
    let panic = panic.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"at the very end"));
    assert_eq!(reports.messages(), ["at the very end"]);
}

#[test]
fn dropping_a_runtime_drops_tasks_that_wake_each_other() {
    /// Wakes the next one when it is dropped.
    struct Wakes(Rc<RefCell<Vec<std::task::Waker>>>);

    impl Drop for Wakes {
        fn drop(&mut self) {
            for waker in self.0.borrow().iter() {
                waker.wake_by_ref();
            }
        }
    }

    let wakers = Rc::new(RefCell::new(Vec::new()));
    let runtime = Runtime::new().unwrap();
    for _ in 0..100 {
        let wakers = Rc::clone(&wakers);
        drop(runtime.spawn(async move {
            let _wakes = Wakes(Rc::clone(&wakers));
            std::future::poll_fn(|context| {
                wakers.borrow_mut().push(context.waker().clone());
                std::task::Poll::<()>::Pending
            })
            .await;
        }));
    }
    runtime.block_on(yield_now());
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(Rc::strong_count(&wakers) > 100);
    drop(runtime);
    assert_eq!(Rc::strong_count(&wakers), 1, "every future was dropped");
}
