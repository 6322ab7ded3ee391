//! The hook for slow polls, which runs inside the turn and may use the runtime.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use coreloop::runtime::{Handle, Runtime, SlowPoll, UnhandledPanic};
use coreloop::task::{self, JoinHandle};
use coreloop::{runtime, spawn};

use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::reports::Reports;

thread_local! {
    /// The closure that the hook calls once. It is here because the hook must be `Send`,
    /// and the closures of the tests are not.
    static HOOK: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn hook(_: &SlowPoll) {
    let hook = HOOK.take();
    if let Some(hook) = hook {
        hook();
    }
}

/// Creates a runtime for which every poll is slow.
fn watched(reports: &Reports) -> Runtime {
    reports
        .builder()
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .slow_poll(Duration::ZERO)
        .on_slow_poll(hook)
        .build()
        .expect("a runtime")
}

#[test]
fn a_hook_may_use_everything_of_the_runtime() {
    let reports = Reports::new();
    let runtime = Rc::new(watched(&reports));
    let done = Rc::new(Cell::new(0));
    let (same, count) = (Rc::clone(&runtime), Rc::clone(&done));
    let aborted = runtime.spawn(pending::<()>());
    HOOK.set(Some(Box::new(move || {
        aborted.abort();
        drop(aborted);
        let (first, second) = (Rc::clone(&count), Rc::clone(&count));
        drop(spawn(async move { first.set(first.get() + 1) }));
        drop(same.spawn(async move { second.set(second.get() + 1) }));
        drop(Handle::current().spawn(|| async {}));
        drop(task::spawn_blocking(|| ()));
        assert_eq!(task::try_id(), None);
        assert!(runtime::metrics().alive_tasks() >= 4);
        let refused = catch_unwind(AssertUnwindSafe(|| same.block_on(async {})));
        assert!(refused.is_err());
        let (other, third) = (watched(&Reports::new()), Rc::clone(&count));
        let guard = OnDrop::new(move || third.set(third.get() + 1));
        drop(other.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        drop(other);
        count.set(count.get() + 1);
    })));
    runtime.block_on(async {
        yield_until(|| done.get() >= 4).await;
    });
}

/// The panic ends the runtime after the slice.
#[test]
fn a_hook_may_drop_the_handle_of_a_panicked_task() {
    let reports = Reports::new();
    let runtime = watched(&reports);
    let handle: JoinHandle<()> = runtime.spawn(async { panic!("dropped by the hook") });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(handle.is_finished());
    HOOK.set(Some(Box::new(move || drop(handle))));
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(pending::<()>())));
    let panic = panic.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"dropped by the hook"));
    assert_eq!(reports.messages(), ["dropped by the hook"]);
}
