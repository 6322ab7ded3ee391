//! Cleanups that fail, guards in unusual places, and aborts at unusual times.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::cleanup::{AsyncGuard, CleanupFailure, bracket, defer, flush, shield};
use coreloop::runtime::{Builder, Runtime};
use coreloop::sync::mpsc;
use coreloop::task::{AbortHandle, JoinSet, coop, yield_now};
use coreloop::time::{Instant, advance};
use coreloop::{join, spawn};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use coreloop_test_support::clock::paused;
use coreloop_test_support::reports::Reports;
#[cfg(not(miri))]
use coreloop_test_support::rerun::{is_rerun, rerun};
use coreloop_test_support::trace::{TICK, Trace, ticks};

/// Creates a runtime with a paused clock, and a log of the failures that it reports.
fn reporting() -> (Runtime, Reports) {
    let reports = Reports::new();
    let builder = reports.builder().start_paused(true);
    (builder.build().unwrap(), reports)
}

#[test]
fn a_cleanup_that_hangs_is_dropped_and_reported() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        let trace = Trace::new();
        let start = Instant::now();
        let task = coreloop::task::Builder::new().name("hangs").spawn({
            let trace = trace.clone();
            async move {
                let _next = trace.guard("next", 1);
                let _hangs = defer(pending());
            }
        });
        task.unwrap().await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(5) + TICK);
        trace.assert(&["50 next begin", "51 next end"]);
    });
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].is_timeout());
    assert_eq!(failures[0].task().unwrap().name(), Some("hangs"));
    assert_eq!(failures[0].place().file(), file!());
    let text = failures[0].to_string();
    assert!(text.contains("did not finish within 5s in task"), "{text}");
}

#[test]
fn the_close_of_a_bracket_that_hangs_is_dropped_and_reported() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        let start = Instant::now();
        bracket(async || (), async |()| {}, async |()| pending().await).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    });
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].is_timeout());
}

/// Regression: a cleanup that was refused, because its task had spent the budget on other
/// operations, was dropped as late.
#[test]
fn a_cleanup_that_is_refused_is_not_late() {
    let (runtime, reports) = reporting();
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(1);
        let close = async move |()| assert_eq!(receiver.recv().await, Some(()));
        let mut used = pin!(bracket(async || (), async |()| {}, close));
        poll_fn(|context| {
            assert!(used.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        sender.try_send(()).unwrap();
        advance(Duration::from_secs(6)).await;
        poll_fn(|context| {
            while coop::poll_proceed(context).is_ready() {}
            assert!(used.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        used.await;
    });
    assert!(reports.cleanups().is_empty());
}

#[test]
fn the_panic_of_the_body_takes_precedence_over_a_panic_of_the_cleanup() {
    let (runtime, reports) = reporting();
    let error = runtime.block_on(spawn_in(&runtime, async {
        let close = async |()| panic!("in close");
        bracket(async || (), async |()| panic!("in the body"), close).await;
    }));
    let message = *error.into_panic().downcast::<&str>().unwrap();
    assert_eq!(message, "in the body");
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].is_panic());
    assert!(failures[0].to_string().contains("\"in close\""));
}

#[test]
fn the_panic_of_a_close_alone_propagates() {
    let (runtime, reports) = reporting();
    let error = runtime.block_on(spawn_in(&runtime, async {
        bracket(async || (), async |()| {}, async |()| panic!("in close")).await;
    }));
    let message = *error.into_panic().downcast::<&str>().unwrap();
    assert_eq!(message, "in close");
    assert!(reports.cleanups().is_empty());
}

/// Spawns a task, and returns a future of its error.
fn spawn_in(
    runtime: &Runtime,
    future: impl Future<Output = ()> + 'static,
) -> impl Future<Output = coreloop::task::JoinError> {
    let task = runtime.spawn(future);
    async move { task.await.unwrap_err() }
}

#[test]
fn a_panic_while_the_body_is_dropped_still_closes() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    let runtime = paused();
    let trace = runtime.block_on(async { Trace::new() });
    let noting = trace.clone();
    let task = runtime.spawn(async move {
        let _outer = noting.guard("outer", 1);
        let body = async |_: &mut &str| {
            let _bomb = Bomb;
            pending::<()>().await;
        };
        bracket(async || "inner", body, noting.closing(1)).await;
    });
    let error = runtime.block_on(async {
        yield_now().await;
        task.abort_and_wait().await.unwrap_err()
    });
    assert!(error.is_panic());
    trace.assert(&[
        "0 inner begin",
        "1 inner end",
        "1 outer begin",
        "2 outer end",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn a_second_abort_changes_nothing() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let _guard = trace.guard("guard", 3);
            bracket(
                async || "bracket",
                async |_| pending::<()>().await,
                trace.closing(3),
            )
            .await;
        }
    });
    yield_now().await;
    for _ in 0..7 {
        task.abort();
        ticks(1).await;
    }
    assert!(task.await.unwrap_err().is_cancelled());
    trace.assert(&[
        "0 bracket begin",
        "3 bracket end",
        "3 guard begin",
        "6 guard end",
    ]);
}

#[coreloop::test(start_paused = true)]
async fn a_task_that_aborts_itself_cleans_up() {
    let trace = Trace::new();
    let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let task = spawn({
        let (trace, own) = (trace.clone(), Rc::clone(&own));
        async move {
            let body = async |_: &mut &str| {
                own.borrow().as_ref().unwrap().abort();
                trace.note("runs to the next wait");
                ticks(1).await;
                trace.note("continued");
            };
            bracket(async || "a", body, trace.closing(1)).await;
        }
    });
    *own.borrow_mut() = Some(task.abort_handle());
    assert!(task.await.unwrap_err().is_cancelled());
    trace.assert(&["0 runs to the next wait", "0 a begin", "1 a end"]);
}

#[coreloop::test(start_paused = true)]
async fn brackets_in_join_and_in_futures_unordered_close_side_by_side() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let used = |name, count| {
                let close = trace.closing(count);
                bracket(async move || name, async |_| pending::<()>().await, close)
            };
            let crowd: FuturesUnordered<_> = [used("c", 1), used("d", 2)].into_iter().collect();
            join!(used("a", 3), used("b", 4), crowd.collect::<Vec<_>>());
        }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.note("cancelled");
    let mut events = trace.events();
    events[..4].sort_unstable();
    let begun = ["1 a begin", "1 b begin", "1 c begin", "1 d begin"];
    assert_eq!(events[..4], begun);
    let ended = ["2 c end", "3 d end", "4 a end", "5 b end", "5 cancelled"];
    assert_eq!(events[4..], ended);
}

/// The bracket is in a variable while its task waits for something else. It cannot close
/// in its place, because it is not polled.
#[coreloop::test(start_paused = true)]
async fn a_bracket_that_is_not_polled_any_more_closes_in_the_cleanup_queue() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let close = trace.closing(2);
            let mut idle = pin!(bracket(
                async || "a",
                async |_| pending::<()>().await,
                close
            ));
            poll_fn(|context| Poll::Ready(idle.as_mut().poll(context).is_pending())).await;
            ticks(100).await;
        }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.note("cancelled");
    trace.assert(&["1 a begin", "3 a end", "3 cancelled"]);
}

#[cfg_attr(miri, ignore = "forgets memory, which Miri reports as leaked")]
#[coreloop::test(start_paused = true)]
async fn forgotten_guards_and_brackets_do_not_delay_an_abort() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let used = |name| {
                bracket(
                    async move || name,
                    async |_| pending::<()>().await,
                    trace.closing(1),
                )
            };
            let mut forgotten = [Box::pin(used("a")), Box::pin(used("b"))];
            let mut shielded = Box::pin(shield(pending::<()>()));
            let mut closing = Box::pin(trace.guard("d", 1).close());
            poll_fn(|context| {
                for used in &mut forgotten {
                    assert!(used.as_mut().poll(context).is_pending());
                }
                assert!(shielded.as_mut().poll(context).is_pending());
                assert!(closing.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            std::mem::forget((forgotten, shielded, closing));
            std::mem::forget(trace.guard("c", 1));
            let _guard = trace.guard("kept", 1);
            pending::<()>().await;
        }
    });
    ticks(1).await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&["0 d begin", "1 kept begin", "2 kept end"]);
}

#[coreloop::test(start_paused = true)]
async fn a_bracket_that_moves_to_another_task_belongs_to_that_task() {
    let trace = Trace::new();
    let close = trace.closing(1);
    let mut used = Box::pin(bracket(
        async || "a",
        async |_| pending::<()>().await,
        close,
    ));
    let (first, second) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
    let begins = spawn({
        let first = Rc::clone(&first);
        async move {
            poll_fn(|context| Poll::Ready(used.as_mut().poll(context).is_pending())).await;
            first.set(Some(used));
            pending::<()>().await;
        }
    });
    yield_now().await;
    let goes_on = spawn({
        let (used, second) = (first.take().unwrap(), Rc::clone(&second));
        async move {
            second.set(true);
            used.await;
        }
    });
    yield_now().await;
    assert!(second.get());
    assert!(begins.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&[]);
    assert!(goes_on.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&["0 a begin", "1 a end"]);
}

#[coreloop::test(start_paused = true)]
async fn a_guard_is_closed_by_the_task_that_drops_it() {
    let trace = Trace::new();
    let guard = trace.guard("a", 2);
    let dropping = spawn(async move { drop(guard) });
    dropping.await.unwrap();
    trace.note("joined");
    trace.assert(&["0 a begin", "2 a end", "2 joined"]);
}

/// The output of a task is dropped when the task finishes, or with its handle.
#[coreloop::test(start_paused = true)]
async fn a_guard_that_is_the_output_of_a_task_is_closed() {
    let trace = Trace::new();
    for name in ["detached", "joined"] {
        let making = trace.clone();
        let task = spawn(async move { making.guard(name, 1) });
        if name == "joined" {
            yield_now().await;
        }
        drop(task);
        ticks(2).await;
    }
    let expected = [
        "0 detached begin",
        "1 detached end",
        "2 joined begin",
        "3 joined end",
    ];
    trace.assert(&expected);
}

#[test]
fn a_guard_dropped_outside_a_task_gets_a_task_of_its_own() {
    let runtime = paused();
    let trace = runtime.block_on(async { Trace::new() });
    {
        let _entered = runtime.enter();
        drop(trace.guard("a", 2));
    }
    runtime.block_on(ticks(3));
    trace.assert(&["0 a begin", "2 a end"]);
}

/// The test runs in a process of its own, whose output is checked.
#[cfg(not(miri))]
#[test]
fn a_guard_dropped_without_a_runtime_is_reported() {
    const THIS: &str = "a_guard_dropped_without_a_runtime_is_reported";
    if is_rerun(THIS) {
        drop(AsyncGuard::new(1, async |_| {
            unreachable!("no runtime can run it")
        }));
        let guard = AsyncGuard::new(1, async |_| unreachable!("no runtime can run it"));
        thread::spawn(move || drop(guard)).join().unwrap();
        return;
    }
    let output = rerun(module_path!(), THIS);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("was abandoned").count(), 2, "{text}");
    assert!(text.contains(file!()), "{text}");
}

/// The other thread has no runtime, so what it reports is printed, as above.
#[test]
fn a_guard_dropped_on_a_thread_without_a_runtime_is_not_run() {
    #[cfg(not(miri))]
    {
        const THIS: &str = "a_guard_dropped_on_a_thread_without_a_runtime_is_not_run";
        if !is_rerun(THIS) {
            let output = rerun(module_path!(), THIS);
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{text}");
            assert_eq!(text.matches("was abandoned").count(), 1, "{text}");
            return;
        }
    }
    let ran = Arc::new(Mutex::new(false));
    coreloop::block_on(async {
        let flag = Arc::clone(&ran);
        let guard = AsyncGuard::new((), async move |()| *flag.lock().unwrap() = true);
        thread::spawn(move || drop(guard)).join().unwrap();
        flush().await;
    });
    assert!(!*ran.lock().unwrap());
}

#[test]
fn dropping_a_runtime_reports_the_cleanups_that_it_abandons() {
    let (runtime, reports) = reporting();
    let trace = runtime.block_on(async { Trace::new() });
    let noting = trace.clone();
    drop(runtime.spawn(async move {
        let _waits = noting.guard("waits", 1);
        drop(noting.guard("begun", 1));
        bracket(
            async || "used",
            async |_| pending::<()>().await,
            noting.closing(1),
        )
        .await;
    }));
    runtime.block_on(async {
        yield_now().await;
        yield_now().await;
    });
    drop(runtime);
    trace.assert(&["0 begun begin"]);
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 3);
    assert!(failures.iter().all(CleanupFailure::is_abandoned));
}

#[test]
fn a_shutdown_runs_cleanups() {
    let (runtime, reports) = reporting();
    let trace = runtime.block_on(async { Trace::new() });
    for name in ["first", "second"] {
        let noting = trace.clone();
        drop(runtime.spawn(async move {
            let close = noting.closing(1);
            let _guard = noting.guard(name, 2);
            bracket(async || "bracket", async |_| pending::<()>().await, close).await;
        }));
    }
    let report = runtime.shutdown(3 * TICK);
    assert_eq!(report.tasks().len(), 2, "{report}");
    assert!(report.cleanups().is_empty(), "{report}");
    trace.assert(&[
        "3 bracket begin",
        "3 bracket begin",
        "4 bracket end",
        "4 bracket end",
        "4 first begin",
        "4 second begin",
        "6 first end",
        "6 second end",
    ]);
    assert!(reports.cleanups().is_empty());
}

#[test]
fn a_shutdown_names_the_cleanups_that_it_abandons() {
    let runtime = Builder::new()
        .start_paused(true)
        .cleanup_budget(3 * TICK)
        .build()
        .unwrap();
    let trace = runtime.block_on(async { Trace::new() });
    let noting = trace.clone();
    drop(runtime.spawn(async move {
        let _third = noting.guard("third", 2);
        let _second = noting.guard("second", 2);
        let _first = noting.guard("first", 2);
        pending::<()>().await;
    }));
    let report = runtime.shutdown(TICK);
    trace.assert(&["1 first begin", "3 first end", "3 second begin"]);
    assert_eq!(report.cleanups().len(), 2, "{report}");
    assert!(!report.is_clean());
    assert!(report.cleanups()[0].place().file().ends_with("trace.rs"));
    assert!(report.to_string().contains("abandoned in task"), "{report}");
}

#[coreloop::test(start_paused = true)]
async fn a_cleanup_may_spawn_and_use_scopes_of_its_own() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            let inside = trace.clone();
            let _guard = AsyncGuard::new((), async move |()| {
                spawn(inside.step("spawned", 1)).await.unwrap();
                let body = async |_: &mut &str| ticks(1).await;
                bracket(async || "in a cleanup", body, inside.closing(1)).await;
                flush().await;
            });
            pending::<()>().await;
        }
    });
    yield_now().await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.note("cancelled");
    trace.assert(&[
        "0 spawned begin",
        "1 spawned end",
        "2 in a cleanup begin",
        "3 in a cleanup end",
        "3 cancelled",
    ]);
}

/// Regression: a member counted as finished when its future was dropped. The set then
/// waited for its cleanups, although other members had finished.
#[coreloop::test(start_paused = true)]
async fn a_join_set_returns_first_the_member_that_finishes_first() {
    let trace = Trace::new();
    let mut set = JoinSet::new();
    let noting = trace.clone();
    set.spawn(async move {
        let _guard = noting.guard("slow", 5);
        "slow"
    });
    set.spawn(async {
        ticks(1).await;
        "quick"
    });
    while let Some(name) = set.join_next().await {
        trace.note(name.unwrap());
    }
    trace.assert(&["0 slow begin", "1 quick", "5 slow end", "5 slow"]);
}

#[test]
fn a_task_from_another_thread_finishes_after_its_cleanups() {
    let runtime = paused();
    let handle = runtime.handle();
    let ended = Arc::new(Mutex::new(0));
    let task = thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            handle.spawn(move || async move {
                let _guard = defer(async move {
                    ticks(2).await;
                    *ended.lock().unwrap() += 1;
                });
                ticks(1).await;
            })
        }
    });
    let task = task.join().unwrap();
    runtime.block_on(task).unwrap();
    assert_eq!(*ended.lock().unwrap(), 1);
}

/// A task with one cleanup of each kind.
async fn errands(trace: Trace) {
    let _guard = trace.guard("guard", 1);
    {
        let _early = trace.guard("early", 1);
        yield_now().await;
    }
    let close = trace.closing(1);
    let noting = trace.clone();
    let open = async || {
        yield_now().await;
        noting.note("opened");
        "bracket"
    };
    let body = async |_: &mut &str| {
        ticks(1).await;
        shield(noting.step("shield", 1)).await;
        yield_now().await;
    };
    bracket(open, body, close).await;
    trace.guard("closed", 1).close().await;
    trace.note("done");
}

fn polled<F: Future>(
    mut future: Pin<&mut F>,
    context: &mut Context<'_>,
    polls: &Cell<usize>,
) -> Poll<F::Output> {
    polls.set(polls.get() + 1);
    future.as_mut().poll(context)
}

/// Runs the errands, aborted after `at` polls. Returns what happened, whether they
/// returned, and how many polls there were.
fn run_aborted(at: usize) -> (Vec<String>, bool, usize) {
    let runtime = paused();
    let polls = Rc::new(Cell::new(0));
    let trace = runtime.block_on(async { Trace::new() });
    let returned = runtime.block_on(async {
        let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
        let task = spawn({
            let (trace, polls, own) = (trace.clone(), Rc::clone(&polls), Rc::clone(&own));
            async move {
                let mut errands = pin!(errands(trace));
                poll_fn(|context| {
                    let poll = polled(errands.as_mut(), context, &polls);
                    if polls.get() == at {
                        own.borrow().as_ref().unwrap().abort();
                    }
                    poll
                })
                .await;
            }
        });
        *own.borrow_mut() = Some(task.abort_handle());
        if at == 0 {
            task.abort();
        }
        task.await.is_ok()
    });
    assert_eq!(runtime.metrics().alive_tasks(), 0, "at poll {at}");
    assert_eq!(runtime.next_timer(), None, "at poll {at}: a timer is left");
    (trace.events(), returned, polls.get())
}

#[test]
fn an_abort_at_every_poll_runs_each_cleanup_once() {
    let (undisturbed, returned, polls) = run_aborted(usize::MAX);
    assert!(returned);
    assert!(polls >= 8, "{polls} polls");
    for at in 0..=polls {
        let (events, returned, _) = run_aborted(at);
        let names = |end: &str| -> Vec<&str> {
            let names = events.iter().filter_map(|event| event.strip_suffix(end));
            names
                .map(|event| event.split_once(' ').unwrap().1)
                .collect()
        };
        let (begun, ended) = (names(" begin"), names(" end"));
        for name in &begun {
            assert_eq!(
                ended.iter().filter(|end| *end == name).count(),
                1,
                "{at}: {events:?}"
            );
        }
        assert_eq!(begun.len(), ended.len(), "{at}: {events:?}");
        let opened = events.iter().any(|event| event.ends_with("opened"));
        assert_eq!(begun.contains(&"bracket"), opened, "{at}: {events:?}");
        assert_eq!(begun.contains(&"guard"), at > 0, "{at}: {events:?}");
        let done = events.iter().any(|event| event.ends_with("done"));
        assert_eq!(returned, done, "{at}: {events:?}");
        if returned {
            assert_eq!(events, undisturbed);
        }
    }
}

#[test]
fn brackets_and_shields_work_under_another_executor() {
    let mut used = pin!(bracket(
        async || 1,
        async |one| shield(async { *one + 1 }).await,
        async |_| {}
    ));
    let context = &mut Context::from_waker(Waker::noop());
    assert_eq!(used.as_mut().poll(context), Poll::Ready(2));
}
