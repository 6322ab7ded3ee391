//! Panics of tasks that are not joined: they are ignored or reported, or they end the
//! runtime or the process.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::panic_any;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::runtime::{Builder, Runtime, UnhandledPanic};
use coreloop::spawn;
use coreloop::task::{self, JoinHandle, yield_now};
use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::text_of;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::rerun::is_rerun;
#[cfg(not(miri))]
use coreloop_test_support::rerun::rerun;

/// Creates a runtime that panics end if they are not joined, and a log of their reports.
fn strict() -> (Runtime, Reports) {
    with(UnhandledPanic::ShutdownRuntime)
}

fn with(policy: UnhandledPanic) -> (Runtime, Reports) {
    let reports = Reports::new();
    let runtime = reports.builder().unhandled_panic(policy).build().unwrap();
    (runtime, reports)
}

#[test]
fn the_panic_propagates_to_the_caller_of_block_on() {
    let (runtime, reports) = strict();
    let held = Rc::new(());
    let other = Rc::clone(&held);
    let panic = text_of(|| {
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
    assert_eq!(reports.messages(), ["the last straw"]);
    assert_eq!(Rc::strong_count(&held), 1, "every task was dropped");

    let panic = text_of(|| runtime.block_on(async {})).unwrap();
    assert!(panic.contains("was shut down"), "{panic}");
    let panic = text_of(|| runtime.turn(Some(Duration::ZERO))).unwrap();
    assert!(panic.contains("was shut down"), "{panic}");
    let handle = runtime.spawn(async {});
    assert!(
        handle.is_finished(),
        "a task that is spawned too late is cancelled"
    );
}

#[test]
fn a_joined_panic_is_not_reported() {
    let (runtime, reports) = strict();
    let error = runtime.block_on(async { spawn(async { panic!("seen") }).await });
    assert!(error.unwrap_err().is_panic());
    runtime.block_on(yield_now());
    assert!(reports.take().is_empty());
}

#[test]
fn a_panic_is_unhandled_only_once_its_handle_is_dropped() {
    let (runtime, reports) = strict();
    let handle = runtime.spawn(async { panic!("not seen yet") });
    runtime.block_on(yield_now());
    assert!(handle.is_finished());
    assert!(reports.take().is_empty());
    // The handle cannot be awaited any more, so the panic is unhandled.
    drop(handle);
    assert_eq!(reports.messages(), ["not seen yet"]);
    let panic = text_of(|| runtime.block_on(async {}));
    assert_eq!(panic.as_deref(), Some("not seen yet"));
}

#[test]
fn a_handle_may_be_dropped_inside_the_loop_after_the_panic() {
    let (runtime, reports) = strict();
    let reached = Rc::new(Cell::new(false));
    let reaches = Rc::clone(&reached);
    let panic = text_of(|| {
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
    assert_eq!(reports.messages(), ["late"]);
}

#[test]
fn the_panic_propagates_from_a_turn() {
    let (runtime, reports) = strict();
    drop(runtime.spawn(async { panic!("in a turn") }));
    // Without a limit, because the turn must not wait after the panic.
    let panic = text_of(|| runtime.turn(None));
    assert_eq!(panic.as_deref(), Some("in a turn"));
    assert_eq!(reports.messages(), ["in a turn"]);
}

#[cfg_attr(miri, ignore = "Miri cannot poll an epoll descriptor")]
#[test]
fn a_handle_dropped_between_turns_makes_the_descriptor_readable() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let (runtime, reports) = strict();
    let handle = runtime.spawn(async { panic!("between") });
    wait_until(|| {
        runtime.turn(Some(Duration::ZERO)).unwrap();
        handle.is_finished()
    });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    let is_readable = || {
        let mut fds = [PollFd::new(&runtime, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
    };
    assert!(!is_readable());
    drop(handle);
    assert!(is_readable());
    let panic = text_of(|| runtime.turn(None));
    assert_eq!(panic.as_deref(), Some("between"));
    assert_eq!(reports.messages(), ["between"]);
}

#[test]
fn the_first_of_several_panics_propagates() {
    let (runtime, reports) = strict();
    drop(runtime.spawn(async { panic!("first") }));
    drop(runtime.spawn(async { panic!("second") }));
    let panic = text_of(|| runtime.block_on(pending::<()>()));
    assert_eq!(panic.as_deref(), Some("first"));
    assert_eq!(reports.messages(), ["first", "second"]);
}

#[test]
fn an_aborted_task_is_not_a_panic() {
    let (runtime, reports) = strict();
    runtime.block_on(async {
        let handle = spawn(pending::<()>());
        handle.abort();
        drop(handle);
        yield_now().await;
    });
    runtime.block_on(yield_now());
    assert!(reports.take().is_empty());
}

#[test]
fn ignored_and_reported_panics_do_not_stop_the_runtime() {
    for policy in [UnhandledPanic::Ignore, UnhandledPanic::Report] {
        let (runtime, reports) = with(policy);
        drop(runtime.spawn(async { panic!("unseen") }));
        runtime.block_on(yield_now());
        runtime.block_on(async {});
        let expected = match policy {
            UnhandledPanic::Report => &["unseen"][..],
            _ => &[],
        };
        assert_eq!(reports.messages(), expected);
    }
}

#[test]
fn the_hook_is_given_the_task_its_place_and_its_panic() {
    let (runtime, reports) = with(UnhandledPanic::Report);
    let id = runtime.block_on(async {
        let builder = task::Builder::new().name("fragile");
        let number = 17;
        let handle = builder.spawn(async move { panic!("into {number} pieces") });
        let id = handle.unwrap().id();
        drop(spawn(async move { panic_any(number) }));
        yield_now().await;
        id
    });
    let line = line!() - 6;
    let [named, other] = &reports.take()[..] else {
        panic!("there are two reports");
    };
    assert_eq!(named.task().id(), id);
    assert_eq!(named.task().name(), Some("fragile"));
    assert_eq!(named.task().spawned_at().file(), file!());
    assert_eq!(named.task().spawned_at().line(), line);
    assert_eq!(named.message(), Some("into 17 pieces"));
    let expected = format!(
        "{} panicked and was not joined: into 17 pieces",
        named.task()
    );
    assert_eq!(named.to_string(), expected);
    assert_eq!(other.task().name(), None);
    assert_eq!(other.message(), None);
    let text = other.to_string();
    assert!(
        text.ends_with("not joined: the payload is not a string"),
        "{text}"
    );
}

#[test]
fn a_panic_of_a_destructor_is_given_to_the_hook() {
    let (runtime, reports) = with(UnhandledPanic::Report);
    let guard = OnDrop::new(|| panic!("in the destructor"));
    drop(runtime.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    runtime.turn(Some(Duration::ZERO)).unwrap();
    drop(runtime);
    assert_eq!(reports.messages(), ["in the destructor"]);
}

#[test]
fn a_hook_that_panics_does_not_change_the_policy() {
    for policy in [UnhandledPanic::Report, UnhandledPanic::ShutdownRuntime] {
        let runtime = Builder::new()
            .unhandled_panic(policy)
            .on_unhandled_panic(|_| panic!("in the hook"))
            .build()
            .unwrap();
        drop(runtime.spawn(async { panic!("of the task") }));
        let after = runtime.spawn(async {
            yield_now().await;
            1
        });
        match policy {
            UnhandledPanic::Report => assert_eq!(runtime.block_on(after).unwrap(), 1),
            _ => {
                let panic = text_of(|| runtime.block_on(after));
                assert_eq!(panic.as_deref(), Some("of the task"));
            }
        }
        // A panic of the hook while another panic unwinds does not abort the process.
        let runtime = Builder::new()
            .on_unhandled_panic(|_| panic!("in the hook"))
            .build()
            .unwrap();
        let handle = runtime.spawn(async { panic!("of the task") });
        runtime.turn(Some(Duration::ZERO)).unwrap();
        let panic = text_of(|| {
            let _handle: JoinHandle<()> = handle;
            panic!("of the frame");
        });
        assert_eq!(panic.as_deref(), Some("of the frame"));
    }
}

thread_local! {
    static HELD: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

/// The hook runs while a handle is dropped, and drops the next handle.
#[test]
fn a_hook_may_use_the_runtime() {
    let (send, receive) = mpsc::channel();
    let runtime = Builder::new()
        .on_unhandled_panic(move |panic| {
            let metrics = coreloop::runtime::metrics();
            send.send((panic.message().unwrap().to_owned(), metrics.alive_tasks()))
                .unwrap();
            let next = HELD.with_borrow_mut(Vec::pop);
            drop(next);
            drop(spawn(async {}));
        })
        .build()
        .unwrap();
    let first = runtime.spawn(async { panic!("first") });
    let second = runtime.spawn(async { panic!("second") });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    HELD.with_borrow_mut(|held| held.push(second));
    runtime.block_on(async move { drop(first) });
    assert_eq!(
        receive.try_iter().collect::<Vec<_>>(),
        [("first".to_owned(), 1), ("second".to_owned(), 1)]
    );
    runtime.block_on(yield_now());
    assert_eq!(runtime.metrics().alive_tasks(), 0);
}

/// Returns a waker of a task of the runtime.
fn waker_of(runtime: &Runtime) -> Waker {
    runtime.block_on(poll_fn(|context| Poll::Ready(context.waker().clone())))
}

/// What a hook has captured belongs to the user, so the last waker must not run its
/// destructor on another thread.
#[test]
fn the_hook_is_dropped_with_the_runtime() {
    let (send, receive) = mpsc::channel();
    let guard = OnDrop::new(move || send.send(thread::current().id()).unwrap());
    let builder = Builder::new().on_unhandled_panic(move |_| {
        let _captured = &guard;
    });
    let runtime = builder.build().unwrap();
    drop(builder);
    let waker = waker_of(&runtime);
    // The error of a panic does not keep the hook alive.
    let error = runtime.block_on(async { spawn(async { panic!("seen") }).await });
    assert!(receive.try_recv().is_err());
    drop(runtime);
    assert_eq!(receive.try_recv(), Ok(thread::current().id()));
    thread::spawn(move || drop((waker, error))).join().unwrap();
}

#[test]
fn a_handle_dropped_after_the_runtime_calls_the_hook() {
    let reports = Reports::new();
    let (send, receive) = mpsc::channel();
    let runtime = reports.builder().build().unwrap();
    let handle = runtime.spawn(async { panic!("late") });
    let waker = waker_of(&runtime);
    drop(runtime);
    assert!(reports.take().is_empty());
    drop(handle);
    assert_eq!(reports.messages(), ["late"]);

    // The hook is dropped with the last such handle.
    let guard = OnDrop::new(move || send.send(thread::current().id()).unwrap());
    let runtime = Builder::new()
        .on_unhandled_panic(move |_| {
            let _captured = &guard;
        })
        .build()
        .unwrap();
    let handle = runtime.spawn(async { panic!("late") });
    let other = waker_of(&runtime);
    drop(runtime);
    assert!(receive.try_recv().is_err());
    drop(handle);
    assert_eq!(receive.try_recv(), Ok(thread::current().id()));
    thread::spawn(move || drop((waker, other))).join().unwrap();
}

/// Runs one of the functions below in a process of its own.
#[cfg(not(miri))]
fn child(name: &str) -> std::process::Output {
    rerun(module_path!(), name)
}

/// Panics in a task that is not joined, and runs the policy's consequences.
fn panic_unseen(builder: &Builder) {
    // The panic hook of `std` stays silent, because the tests read only the runtime's
    // report.
    std::panic::set_hook(Box::new(|_| {}));
    builder.build().unwrap().block_on(async {
        let builder = task::Builder::new().name("fragile");
        drop(builder.spawn(async { panic!("into pieces") }).unwrap());
        yield_now().await;
    });
}

#[test]
fn child_that_reports() {
    if is_rerun("child_that_reports") {
        panic_unseen(&Builder::new());
    }
}

#[test]
fn child_that_ignores() {
    if is_rerun("child_that_ignores") {
        panic_unseen(&Builder::new().unhandled_panic(UnhandledPanic::Ignore));
    }
}

#[test]
fn child_that_aborts() {
    if is_rerun("child_that_aborts") {
        panic_unseen(&Builder::new().unhandled_panic(UnhandledPanic::Abort));
    }
}

#[test]
fn child_that_aborts_after_its_hook() {
    if is_rerun("child_that_aborts_after_its_hook") {
        let builder = Builder::new()
            .unhandled_panic(UnhandledPanic::Abort)
            .on_unhandled_panic(|panic| println!("hook: {panic}"));
        panic_unseen(&builder);
    }
}

/// This holds with the feature `tracing`, too, because there is no subscriber.
#[cfg(not(miri))]
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
        line.ends_with("panicked and was not joined: into pieces"),
        "{line}"
    );

    let output = child("child_that_ignores");
    assert!(output.status.success());
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.contains("coreloop:"), "{printed}");
}

#[cfg(all(not(miri), feature = "tracing"))]
mod by_tracing {
    use coreloop::runtime::Builder;
    use coreloop_test_support::rerun::is_rerun;
    use tracing::subscriber::{NoSubscriber, set_global_default, with_default};
    use tracing_subscriber::filter::LevelFilter;

    use super::{child, panic_unseen};

    /// A subscriber that writes to the standard output.
    fn subscriber(level: LevelFilter) -> impl tracing::Subscriber + Send + Sync {
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .finish()
    }

    /// Runs a child, and returns whether the subscriber was given the panic, and whether
    /// it was printed on the standard error.
    fn reported_by(name: &str) -> (bool, bool) {
        let output = child(&format!("by_tracing::{name}"));
        assert!(output.status.success());
        let given = String::from_utf8_lossy(&output.stdout);
        let printed = String::from_utf8_lossy(&output.stderr);
        (
            given.contains("ERROR coreloop: a task panicked"),
            printed.contains("coreloop: task"),
        )
    }

    /// Defines a child, and where its panic is reported.
    macro_rules! child {
        ($name:ident, $given:expr, $printed:expr, $body:block) => {
            #[test]
            fn $name() {
                let name = stringify!($name);
                if is_rerun(&format!("by_tracing::{name}")) {
                    $body
                } else {
                    assert_eq!(reported_by(name), ($given, $printed));
                }
            }
        };
    }

    child!(without_a_subscriber_the_panic_is_printed, false, true, {
        panic_unseen(&Builder::new());
    });

    child!(a_global_subscriber_is_given_the_panic, true, false, {
        set_global_default(subscriber(LevelFilter::INFO)).unwrap();
        panic_unseen(&Builder::new());
    });

    child!(
        a_subscriber_of_the_thread_is_given_the_panic,
        true,
        false,
        {
            with_default(subscriber(LevelFilter::INFO), || {
                panic_unseen(&Builder::new());
            });
        }
    );

    child!(
        after_a_subscriber_of_the_thread_the_panic_is_printed,
        false,
        true,
        {
            with_default(subscriber(LevelFilter::INFO), || {});
            panic_unseen(&Builder::new());
        }
    );

    child!(with_a_no_subscriber_the_panic_is_printed, false, true, {
        set_global_default(subscriber(LevelFilter::INFO)).unwrap();
        with_default(NoSubscriber::default(), || panic_unseen(&Builder::new()));
    });

    child!(
        a_subscriber_that_filters_out_errors_silences_the_panic,
        false,
        false,
        {
            set_global_default(subscriber(LevelFilter::OFF)).unwrap();
            panic_unseen(&Builder::new());
        }
    );
}

#[cfg(not(miri))]
#[test]
fn abort_ends_the_process() {
    use std::os::unix::process::ExitStatusExt as _;

    let abort = Some(rustix::process::Signal::ABORT.as_raw());
    let output = child("child_that_aborts");
    assert_eq!(output.status.signal(), abort);

    let output = child("child_that_aborts_after_its_hook");
    assert_eq!(output.status.signal(), abort);
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().find(|line| line.contains("hook: task"));
    assert!(
        line.unwrap().contains("\"fragile\" spawned at"),
        "{printed}"
    );
    assert!(line.unwrap().ends_with("into pieces"), "{printed}");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(!printed.contains("coreloop:"), "{printed}");
}
