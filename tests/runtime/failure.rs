//! A runtime that a panic has shut down while its owner still holds it, and panics that
//! should end a runtime that is never driven again.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::PipeReader;
use std::panic::{panic_any, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::io::Async;
use coreloop::runtime::{Handle, Runtime, UnhandledPanic};
use coreloop::task::{self, JoinHandle, spawn_blocking};
use coreloop::{block_on, spawn, time};

use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::panic_of;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::wakers::{Call, calling};

/// Creates a runtime that the panic of a task ends, and a log of the panics that it
/// reports.
fn fragile() -> (Runtime, Reports) {
    let reports = Reports::new();
    let builder = reports.builder();
    let builder = builder.unhandled_panic(UnhandledPanic::ShutdownRuntime);
    (builder.build().expect("a runtime"), reports)
}

/// Ends the runtime by the panic of a task.
fn fail(runtime: &Runtime, reports: &Reports) {
    drop(runtime.spawn(async { panic!("the last straw") }));
    assert_eq!(panic_of(|| runtime.turn(None)), "the last straw");
    assert_eq!(reports.messages(), ["the last straw"]);
}

/// Returns the handle of a task that has panicked with `payload`.
fn panicked<P: Send + 'static>(runtime: &Runtime, payload: P) -> JoinHandle<()> {
    // Without the panic hook, because the test does not check what it prints.
    let handle = runtime.spawn(async { resume_unwind(Box::new(payload)) });
    runtime.turn(Some(Duration::ZERO)).expect("a turn");
    assert!(handle.is_finished());
    handle
}

/// Regression: a task that was spawned on a closed loop counted as live while its
/// destructor ran, so that a second shutdown waited for a task that was ending further up
/// the same stack.
#[test]
fn the_destructor_of_a_task_spawned_too_late_drives_the_runtime() {
    let (runtime, reports) = fragile();
    let runtime = Rc::new(runtime);
    fail(&runtime, &reports);
    let texts = Rc::new(RefCell::new(Vec::new()));
    let (same, log) = (Rc::clone(&runtime), Rc::clone(&texts));
    let guard = OnDrop::new(move || {
        log.borrow_mut().push(panic_of(|| same.turn(None)));
        log.borrow_mut().push(panic_of(|| same.block_on(async {})));
        assert!(same.spawn(async {}).is_finished());
    });
    let handle = runtime.spawn(async move { drop(guard) });
    assert_eq!(texts.borrow().len(), 2);
    assert!(texts.borrow().iter().all(|text| text.contains("shut down")));
    assert!(block_on(handle).unwrap_err().is_cancelled());
    assert_eq!(runtime.metrics().alive_tasks(), 0);
}

/// The same, with a destructor that drops the runtime itself.
#[test]
#[cfg_attr(miri, ignore = "it leaks a runtime's memory")]
fn the_destructor_of_a_task_spawned_too_late_drops_the_runtime() {
    // On a thread of its own, whose current loop stays set.
    let spoilt = thread::spawn(|| {
        let (runtime, reports) = fragile();
        fail(&runtime, &reports);
        // Only a forgotten guard allows a spawn on a runtime that the future itself owns.
        std::mem::forget(runtime.enter());
        let handle = spawn(async move { drop(runtime) });
        assert!(handle.is_finished());
    });
    spoilt.join().unwrap();
}

#[test]
fn everything_that_is_used_after_the_failure_ends() {
    let (runtime, reports) = fragile();
    let handle = runtime.handle();
    let (timer, pipe, early) = {
        let _guard = runtime.enter();
        let (reader, writer) = std::io::pipe().unwrap();
        let timer = time::sleep(Duration::from_secs(3600));
        (
            timer,
            (Async::new(reader).unwrap(), writer),
            Handle::current(),
        )
    };
    let waiting = runtime.spawn(pending::<()>());
    let remote = handle.spawn(pending::<()>);
    fail(&runtime, &reports);
    assert!(waiting.is_finished());
    assert!(block_on(remote).unwrap_err().is_cancelled());

    for handle in [handle, early, runtime.handle()] {
        assert!(block_on(handle.spawn(|| async {})).is_err());
        assert!(block_on(handle.spawn_blocking(|| ())).is_err());
        let elsewhere = thread::spawn(move || handle.spawn(pending::<()>));
        assert!(block_on(elsewhere.join().unwrap()).is_err());
    }
    let late = task::Builder::new().name("late");
    let _guard = runtime.enter();
    assert!(block_on(late.spawn(async {}).unwrap()).is_err());
    assert!(block_on(spawn_blocking(|| ())).is_err());
    assert!(block_on(runtime.spawn_blocking(|| ())).is_err());
    let read = |mut pipe: &PipeReader| std::io::Read::read(&mut pipe, &mut [0]);
    assert!(block_on(pipe.0.read_with(read)).is_err());
    drop(timer);
    assert!(runtime.next_timer().is_none());

    let metrics = runtime.metrics();
    assert_eq!(metrics.alive_tasks(), 0);
    assert_eq!(metrics.ready_tasks(), 0);
    assert_eq!(metrics.queued_blocking_work(), 0);
}

/// The first handle is created when the loop is closed: the runtime's task behind the
/// handles must not count as alive.
#[test]
fn the_first_handle_of_a_failed_runtime_may_be_used() {
    let (runtime, reports) = fragile();
    fail(&runtime, &reports);
    let handle = runtime.handle();
    assert!(block_on(handle.spawn(|| async {})).is_err());
    assert_eq!(runtime.metrics().alive_tasks(), 0);
}

/// Regression: a destructor saw counts of which some were not updated yet.
#[test]
fn destructors_may_read_metrics_at_the_end_of_the_runtime() {
    let (runtime, _reports) = fragile();
    let alive = Rc::new(RefCell::new(Vec::new()));
    let counting = |list: &Rc<RefCell<Vec<u64>>>| {
        let list = Rc::clone(list);
        OnDrop::new(move || {
            let metrics = coreloop::runtime::metrics();
            list.borrow_mut().push(metrics.alive_tasks());
            drop(spawn(async {}));
        })
    };
    let (first, second) = (counting(&alive), counting(&alive));
    drop(runtime.spawn(async move {
        let _first = first;
        pending::<()>().await;
    }));
    let (send, receive) = mpsc::channel();
    let guard = OnDrop::new(move || {
        let alive = Handle::current();
        let metrics = coreloop::runtime::metrics();
        send.send((metrics.alive_tasks(), alive)).unwrap();
    });
    drop(runtime.handle().spawn(move || async move { drop(guard) }));
    drop(runtime.spawn(async move {
        let _second = second;
        pending::<()>().await;
    }));
    drop(runtime);
    assert_eq!(*alive.borrow(), [2, 1]);
    assert!(receive.try_recv().unwrap().0 <= 2);
}

/// Regression: the payload was kept in the part of the loop that other threads share, and
/// so was dropped with the last waker, on any thread.
#[test]
fn a_panic_that_no_turn_propagated_is_dropped_with_the_runtime() {
    let (runtime, reports) = fragile();
    let (send, receive) = mpsc::channel();
    let waker = waker_of(&runtime);
    let handle = panicked(
        &runtime,
        OnDrop::new(move || send.send(thread::current().id()).unwrap()),
    );
    drop(handle);
    assert_eq!(reports.messages(), ["no text"]);
    assert!(
        receive.try_recv().is_err(),
        "the next turn should propagate it"
    );
    drop(runtime);
    assert_eq!(receive.try_recv(), Ok(thread::current().id()));
    thread::spawn(move || drop(waker)).join().unwrap();
}

/// The same, if the handle is dropped after the runtime.
#[test]
fn a_panic_after_the_end_of_the_runtime_is_dropped_with_the_handle() {
    let (runtime, reports) = fragile();
    let (send, receive) = mpsc::channel();
    let waker = waker_of(&runtime);
    let handle = panicked(
        &runtime,
        OnDrop::new(move || send.send(thread::current().id()).unwrap()),
    );
    drop(runtime);
    drop(handle);
    assert_eq!(reports.messages(), ["no text"]);
    assert_eq!(receive.try_recv(), Ok(thread::current().id()));
    thread::spawn(move || drop(waker)).join().unwrap();
}

/// Regression: a payload that held a waker of its loop kept the loop, which kept the
/// payload.
#[test]
fn a_payload_that_holds_a_waker_of_its_runtime_is_dropped() {
    for drop_handle_first in [true, false] {
        let (runtime, reports) = fragile();
        let (send, receive) = mpsc::channel::<()>();
        let handle = panicked(&runtime, (waker_of(&runtime), send));
        if drop_handle_first {
            drop(handle);
            drop(runtime);
        } else {
            drop(runtime);
            drop(handle);
        }
        assert_eq!(reports.messages(), ["no text"]);
        assert_eq!(receive.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}

/// Returns a waker of a task of the runtime.
fn waker_of(runtime: &Runtime) -> Waker {
    runtime.block_on(poll_fn(|context| Poll::Ready(context.waker().clone())))
}

/// Regression: the panic that ended the runtime was unwinding when the output of the root
/// was dropped, so that a panic of the output aborted the process.
#[test]
fn an_output_may_panic_when_a_failing_runtime_drops_it() {
    let (runtime, reports) = fragile();
    let text = panic_of(|| {
        runtime.block_on(async {
            drop(spawn(async { panic!("the last straw") }));
            task::yield_now().await;
            OnDrop::new(|| panic!("the output"))
        })
    });
    assert_eq!(text, "the last straw");
    assert_eq!(reports.messages(), ["the last straw"]);
}

#[test]
fn a_root_may_panic_when_a_failing_runtime_drops_it() {
    let (runtime, reports) = fragile();
    let text = panic_of(|| {
        let guard = OnDrop::new(|| panic!("the root"));
        runtime.block_on(async {
            let _guard = guard;
            drop(spawn(async { panic!("the last straw") }));
            pending::<()>().await;
        });
    });
    assert_eq!(text, "the last straw");
    assert_eq!(reports.messages(), ["the last straw"]);
}

#[test]
fn a_root_may_fail_the_runtime_when_it_is_dropped() {
    let (runtime, reports) = fragile();
    let handle = panicked(&runtime, "held by the root");
    let root = poll_fn(move |_| {
        assert!(handle.is_finished());
        Poll::Ready(())
    });
    let text = panic_of(|| runtime.block_on(root));
    assert_eq!(text, "held by the root");
    assert_eq!(reports.messages(), ["held by the root"]);
}

#[test]
fn a_handle_dropped_in_a_turn_of_another_loop_fails_its_own_runtime() {
    let ((runtime, reports), (other, others)) = (fragile(), fragile());
    let handle = panicked(&runtime, "elsewhere");
    other.block_on(async move { drop(handle) });
    other.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(panic_of(|| runtime.turn(None)), "elsewhere");
    assert_eq!(reports.messages(), ["elsewhere"]);
    assert!(others.take().is_empty());
}

#[test]
fn a_handle_dropped_while_unwinding_fails_its_runtime() {
    let (runtime, reports) = fragile();
    let handle = panicked(&runtime, "held by the frame");
    let text = panic_of(|| {
        let _handle = handle;
        panic!("the frame");
    });
    assert_eq!(text, "the frame");
    assert_eq!(panic_of(|| runtime.turn(None)), "held by the frame");
    assert_eq!(reports.messages(), ["held by the frame"]);
}

/// Regression: the panic of an output was dropped for a local task, but for a task of a
/// handle it was the panic of the task, and ended the runtime.
#[test]
fn an_output_that_was_not_taken_does_not_fail_the_runtime() {
    let (runtime, reports) = fragile();
    let output = || async { OnDrop::new(|| panic!("unwanted")) };
    drop(runtime.spawn(output()));
    drop(runtime.handle().spawn(output));
    runtime.turn(Some(Duration::ZERO)).unwrap();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(runtime.metrics().alive_tasks(), 0);
    assert!(reports.take().is_empty());
}

/// The waker is woken between the tasks of a turn.
#[test]
fn the_waker_of_a_timer_may_fail_the_runtime() {
    let reports = Reports::new();
    let runtime = reports
        .builder()
        .start_paused(true)
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()
        .unwrap();
    let handle = Cell::new(Some(panicked(&runtime, "by a timer")));
    let waker = calling(move |call| {
        if call == Call::Wake {
            drop(handle.take());
        }
    });
    let mut timer = {
        let _guard = runtime.enter();
        time::sleep(Duration::from_secs(1))
    };
    assert!(
        Pin::new(&mut timer)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(panic_of(|| runtime.block_on(pending::<()>())), "by a timer");
    assert_eq!(reports.messages(), ["by a timer"]);
}

#[test]
fn a_payload_may_panic_when_a_failed_runtime_drops_it() {
    let (runtime, reports) = fragile();
    let handle = panicked(&runtime, OnDrop::new(|| resume_unwind(Box::new(()))));
    drop(handle);
    assert_eq!(reports.messages(), ["no text"]);
    drop(runtime);
}

#[test]
fn destructors_of_a_failing_runtime_may_call_back() {
    let (runtime, reports) = fragile();
    let runtime = Rc::new(runtime);
    let same = Rc::clone(&runtime);
    let guard = OnDrop::new(move || {
        assert!(panic_of(|| same.turn(None)).contains("within a runtime"));
        assert!(same.spawn(async {}).is_finished());
        drop(same.spawn_blocking(|| ()));
        drop(same.handle().spawn(|| async {}));
        drop(aborting_runtime(&same));
        panic_any("in a destructor");
    });
    drop(runtime.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    runtime.turn(Some(Duration::ZERO)).unwrap();
    drop(runtime.spawn(async { panic!("the last straw") }));
    assert_eq!(panic_of(|| runtime.turn(None)), "the last straw");
    assert_eq!(reports.messages(), ["the last straw", "in a destructor"]);
    assert_eq!(Rc::strong_count(&runtime), 1);
    assert_eq!(runtime.metrics().alive_tasks(), 0);
}

/// Returns another runtime, which ends inside a destructor, with a task that would abort
/// a task of `runtime`.
fn aborting_runtime(runtime: &Runtime) -> Runtime {
    let (other, _) = fragile();
    let (waiting, _guard) = (runtime.spawn(pending::<()>()), runtime.enter());
    drop(other.spawn(async move {
        waiting.abort();
        pending::<()>().await;
    }));
    other
}
