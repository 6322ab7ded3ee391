//! Panics of tasks that nobody joined: reported, or the end of the runtime, or
//! of the process.

use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use coreloop::runtime::{Builder, Runtime, UnhandledPanic};
use coreloop::spawn;
use coreloop::task::{self, yield_now};
use coreloop_test_support::rerun::is_rerun;
#[cfg(not(miri))]
use coreloop_test_support::rerun::rerun;

fn with(policy: UnhandledPanic) -> Runtime {
    Builder::new().unhandled_panic(policy).build().unwrap()
}

/// What comes out of a call as a panic with text.
fn panic_of<R>(call: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(call)).err()?;
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
}

#[test]
fn the_panic_goes_on_in_who_drives_the_runtime() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    let held = Rc::new(());
    let other = Rc::clone(&held);
    let panic = panic_of(|| {
        runtime.block_on(async move {
            drop(spawn(async move {
                let _other = other;
                pending::<()>().await;
            }));
            yield_now().await;
            drop(spawn(async { panic!("the last straw") }));
            pending::<()>().await;
        });
    });
    assert_eq!(panic.as_deref(), Some("the last straw"));
    assert_eq!(Rc::strong_count(&held), 1, "every task was dropped");

    let panic = panic_of(|| runtime.block_on(async {})).unwrap();
    assert!(panic.contains("was shut down"), "{panic}");
    let panic = panic_of(|| runtime.turn(Some(Duration::ZERO))).unwrap();
    assert!(panic.contains("was shut down"), "{panic}");
    let handle = runtime.spawn(async {});
    assert!(handle.is_finished(), "a task comes too late");
}

#[test]
fn a_joined_panic_is_the_joiners() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    let error = runtime.block_on(async { spawn(async { panic!("seen") }).await });
    assert!(error.unwrap_err().is_panic());
    runtime.block_on(yield_now());
}

#[test]
fn a_handle_that_is_held_may_yet_be_awaited() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    let handle = runtime.spawn(async { panic!("not seen yet") });
    runtime.block_on(yield_now());
    assert!(handle.is_finished());
    // Nobody will: so it is unhandled from here on.
    drop(handle);
    let panic = panic_of(|| runtime.block_on(async {}));
    assert_eq!(panic.as_deref(), Some("not seen yet"));
}

#[test]
fn a_handle_dropped_inside_the_loop_after_the_panic() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    let reached = Rc::new(Cell::new(false));
    let reaches = Rc::clone(&reached);
    let panic = panic_of(|| {
        runtime.block_on(async move {
            let handle = spawn(async { panic!("late") });
            yield_now().await;
            drop(handle);
            yield_now().await;
            reaches.set(true);
            pending::<()>().await;
        });
    });
    assert_eq!(panic.as_deref(), Some("late"));
}

#[test]
fn a_turn_lets_the_panic_out_too() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    drop(runtime.spawn(async { panic!("in a turn") }));
    // Without limit: the turn must not wait for anything after the panic.
    let panic = panic_of(|| runtime.turn(None));
    assert_eq!(panic.as_deref(), Some("in a turn"));
}

#[cfg_attr(miri, ignore = "Miri cannot poll an epoll descriptor")]
#[test]
fn a_panic_made_known_between_turns_makes_the_descriptor_readable() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let runtime = with(UnhandledPanic::ShutdownRuntime);
    let handle = runtime.spawn(async { panic!("between") });
    while !handle.is_finished() {
        runtime.turn(Some(Duration::ZERO)).unwrap();
    }
    runtime.turn(Some(Duration::ZERO)).unwrap();
    let is_readable = || {
        let mut fds = [PollFd::new(&runtime, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
    };
    assert!(!is_readable());
    drop(handle);
    assert!(is_readable());
    let panic = panic_of(|| runtime.turn(None));
    assert_eq!(panic.as_deref(), Some("between"));
}

#[test]
fn the_first_of_several_panics_goes_on() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    drop(runtime.spawn(async { panic!("first") }));
    drop(runtime.spawn(async { panic!("second") }));
    let panic = panic_of(|| runtime.block_on(pending::<()>()));
    assert_eq!(panic.as_deref(), Some("first"));
}

#[test]
fn an_aborted_task_is_not_a_panic() {
    let runtime = with(UnhandledPanic::ShutdownRuntime);
    runtime.block_on(async {
        let handle = spawn(pending::<()>());
        handle.abort();
        drop(handle);
        yield_now().await;
    });
    runtime.block_on(yield_now());
}

#[test]
fn ignored_and_reported_panics_stop_nothing() {
    for policy in [UnhandledPanic::Ignore, UnhandledPanic::Report] {
        let runtime = with(policy);
        drop(runtime.spawn(async { panic!("unseen") }));
        runtime.block_on(yield_now());
        runtime.block_on(async {});
    }
}

/// Runs one of the functions below in a process of its own.
#[cfg(not(miri))]
fn child(name: &str) -> std::process::Output {
    rerun(module_path!(), name)
}

/// Panics in a task that nobody joins, and waits for the consequences.
fn panic_unseen(policy: UnhandledPanic) {
    // Of the two reports only ours is looked at.
    std::panic::set_hook(Box::new(|_| {}));
    with(policy).block_on(async {
        let builder = task::Builder::new().name("fragile");
        drop(builder.spawn(async { panic!("into pieces") }).unwrap());
        yield_now().await;
    });
}

#[test]
fn child_that_reports() {
    if is_rerun("child_that_reports") {
        panic_unseen(UnhandledPanic::Report);
    }
}

#[test]
fn child_that_ignores() {
    if is_rerun("child_that_ignores") {
        panic_unseen(UnhandledPanic::Ignore);
    }
}

#[test]
fn child_that_aborts() {
    if is_rerun("child_that_aborts") {
        panic_unseen(UnhandledPanic::Abort);
    }
}

#[cfg(not(any(miri, feature = "tracing")))]
#[test]
fn the_report_names_the_task_its_place_and_its_panic() {
    let output = child("child_that_reports");
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stderr);
    let line = printed
        .lines()
        .find(|line| line.contains("coreloop: task"))
        .unwrap();
    assert!(line.contains("\"fragile\" spawned at "), "{line}");
    assert!(line.contains(file!()), "{line}");
    assert!(
        line.ends_with("panicked, and nobody joined it: into pieces"),
        "{line}"
    );

    let output = child("child_that_ignores");
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.contains("coreloop:"), "{printed}");
}

#[cfg(not(miri))]
#[test]
fn abort_ends_the_process() {
    use std::os::unix::process::ExitStatusExt as _;

    let output = child("child_that_aborts");
    assert_eq!(
        output.status.signal(),
        Some(rustix::process::Signal::ABORT.as_raw())
    );
}
