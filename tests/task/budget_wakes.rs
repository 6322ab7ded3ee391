//! When, and in which order, refused operations are woken: after the poll of their task,
//! so that no future of a combinator gets the budget of every poll.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use coreloop::scope::scope;
use coreloop::sync::mpsc;
use coreloop::task::{consume_budget, coop, yield_now};
use coreloop::time::{advance, sleep};
use coreloop::{block_on, spawn};
use coreloop_test_support::clock::paused;
use coreloop_test_support::panics::{panic_of, recorded};
use coreloop_test_support::wakers::{Call, calling};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

type Local = Pin<Box<dyn Future<Output = ()>>>;

/// How a future spends the budget again and again.
#[derive(Debug, Clone, Copy)]
enum Busy {
    Consume,
    Receive,
    Sleep,
    /// Yields after exactly the budget of a poll.
    Yield,
}

const BUSY: [Busy; 4] = [Busy::Consume, Busy::Receive, Busy::Sleep, Busy::Yield];

async fn step(busy: Busy) {
    match busy {
        Busy::Consume => consume_budget().await,
        Busy::Receive => {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            sender.send(()).unwrap();
            receiver.recv().await.unwrap();
        }
        Busy::Sleep => sleep(Duration::ZERO).await,
        Busy::Yield => {
            for _ in 0..128 {
                consume_budget().await;
            }
            yield_now().await;
        }
    }
}

/// Futures that are polled side by side.
#[derive(Debug, Clone, Copy)]
enum Beside {
    FuturesUnordered,
    Buffered,
    Scope,
}

const BESIDE: [Beside; 3] = [Beside::FuturesUnordered, Beside::Buffered, Beside::Scope];

async fn run_beside(beside: Beside, futures: Vec<Local>) {
    match beside {
        Beside::FuturesUnordered => {
            let futures: FuturesUnordered<_> = futures.into_iter().collect();
            futures.collect::<()>().await;
        }
        Beside::Buffered => {
            let futures = futures_util::stream::iter(futures);
            futures.buffer_unordered(100).collect::<()>().await;
        }
        Beside::Scope => {
            scope(async |scope| {
                for future in futures {
                    drop(scope.spawn(future));
                }
            })
            .await;
        }
    }
}

/// Runs `count` busy futures beside a timer that becomes due while they run, until the
/// timer has fired and each future has made a step. Returns how often the task was
/// polled.
async fn polls_until_all_made_progress(beside: Beside, busy: Busy, count: usize) -> u32 {
    let over = Rc::new(Cell::new(false));
    let fired = Rc::new(Cell::new(false));
    let steps = Rc::new(RefCell::new(vec![0; count]));
    let mut futures: Vec<Local> = Vec::new();
    for number in 0..count {
        let (over, fired, steps) = (Rc::clone(&over), Rc::clone(&fired), Rc::clone(&steps));
        futures.push(Box::pin(async move {
            while !over.get() {
                step(busy).await;
                let mut steps = steps.borrow_mut();
                steps[number] += 1;
                over.set(fired.get() && steps.iter().all(|steps| *steps > 0));
            }
        }));
    }
    futures.push(Box::pin({
        let fired = Rc::clone(&fired);
        // The duration counts from here, however late the timer is polled.
        let timer = sleep(Duration::from_secs(1));
        async move {
            timer.await;
            fired.set(true);
        }
    }));
    drop(spawn(async {
        for _ in 0..3 {
            yield_now().await;
        }
        // The paused clock does not move by itself while tasks are ready.
        advance(Duration::from_secs(2)).await;
    }));
    let mut beside = pin!(run_beside(beside, futures));
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        let polled = beside.as_mut().poll(context);
        assert!(
            polled.is_ready() || polls < 1000,
            "the timer fired: {fired:?}, steps: {steps:?}"
        );
        polled
    })
    .await;
    polls
}

#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn all_futures_beside_each_other_make_progress() {
    for beside in BESIDE {
        for busy in BUSY {
            for count in 1..=8 {
                let run = move || polls_until_all_made_progress(beside, busy, count);
                let root = paused().block_on(run());
                let task = paused().block_on(async move { spawn(run()).await.unwrap() });
                assert!(root.max(task) < 100, "{beside:?} {busy:?} {count}");
            }
        }
    }
}

/// The events of a test, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// Creates a waker that logs `name` when it is woken.
    fn waker(&self, name: &'static str) -> Waker {
        let log = self.clone();
        calling(move |call| {
            if call == Call::Wake {
                log.note(name);
            }
        })
    }

    #[track_caller]
    fn assert(&self, noted: &[&str]) {
        assert_eq!(*self.0.borrow(), noted);
        self.0.borrow_mut().clear();
    }
}

/// Spends the budget of the poll, and then polls an operation with each of the wakers.
/// The operations are refused.
fn refuse(wakers: &[&Waker]) {
    let mut context = Context::from_waker(Waker::noop());
    while coop::has_budget_remaining() {
        let _ = coop::poll_proceed(&mut context);
    }
    for waker in wakers {
        let polled = coop::poll_proceed(&mut Context::from_waker(waker));
        assert!(polled.is_pending());
    }
}

/// Ends the poll with the task ready to run again.
fn again<T>(context: &Context<'_>) -> Poll<T> {
    context.waker().wake_by_ref();
    Poll::Pending
}

#[test]
fn operations_without_budget_are_woken_after_the_poll_last_first() {
    let log = Log::default();
    let task = |log: Log| async move {
        let (a, b, c) = (log.waker("a"), log.waker("b"), log.waker("c"));
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                refuse(&[&a, &b, &c]);
                log.note("polled");
                return again(context);
            }
            Poll::Ready(())
        })
        .await;
    };
    block_on(task(log.clone()));
    log.assert(&["polled", "c", "b", "a"]);
    block_on(async { spawn(task(log.clone())).await.unwrap() });
    log.assert(&["polled", "c", "b", "a"]);
}

/// The futures of a `join!` inside a combinator share a waker, for example.
#[test]
#[cfg_attr(miri, ignore = "the vtable of a waker may have several addresses")]
fn a_waker_of_several_operations_is_woken_once() {
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    block_on(poll_fn(|_| {
        refuse(&[&waker, &waker, &waker]);
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        Poll::Ready(())
    }));
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    // No clone of the waker is left.
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn a_task_that_is_refused_again_wakes_its_operations_in_turn() {
    let log = Log::default();
    block_on(async {
        let (a, b, c) = (log.waker("a"), log.waker("b"), log.waker("c"));
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            match polls {
                1 => refuse(&[&a, &b, &c]),
                2 => refuse(&[&c, &b, &a]),
                3 => refuse(&[&b, &a, &c]),
                _ => return Poll::Ready(()),
            }
            again(context)
        })
        .await;
    });
    log.assert(&["c", "b", "a", "b", "a", "c", "a", "c", "b"]);
}

/// The task waits, returns, panics or is aborted after the refusals, or its loop stops.
#[test]
fn refused_operations_are_woken_however_their_task_ends() {
    let log = Log::default();
    let runtime = paused();
    let other = |end: Poll<()>| {
        let waker = log.waker("woken");
        async move {
            let mut first = true;
            poll_fn(|_| {
                if !std::mem::take(&mut first) {
                    return Poll::Pending;
                }
                refuse(&[&waker]);
                end
            })
            .await;
        }
    };
    let waits = runtime.spawn(other(Poll::Pending));
    let ready = runtime.spawn(other(Poll::Ready(())));
    let panics = runtime.spawn({
        let waker = log.waker("woken");
        async move {
            refuse(&[&waker]);
            panic!("on purpose");
        }
    });
    let aborted = runtime.spawn(other(Poll::Pending));
    let abort = aborted.abort_handle();
    drop(runtime.spawn(async move { abort.abort() }));
    // The loop stops after the only poll of the root.
    runtime.block_on(poll_fn(|_| {
        log.assert(&[]);
        refuse(&[&log.waker("root")]);
        Poll::Ready(())
    }));
    log.assert(&["woken", "woken", "woken", "woken", "root"]);
    assert!(!waits.is_finished() && ready.is_finished() && panics.is_finished());
    assert!(runtime.block_on(aborted).unwrap_err().is_cancelled());
    assert!(runtime.block_on(panics).unwrap_err().is_panic());
}

/// The wakes cause no extra poll, because the task is scheduled anyway.
#[test]
fn a_refused_task_is_polled_once_for_all_its_operations() {
    let runtime = paused();
    let polls = Rc::new(Cell::new(0));
    let counted = |busy: usize| {
        let polls = Rc::clone(&polls);
        async move {
            let futures: FuturesUnordered<_> = (0..busy)
                .map(|_| async {
                    for _ in 0..128 {
                        consume_budget().await;
                    }
                })
                .collect();
            let mut all = pin!(futures.collect::<()>());
            poll_fn(|context| {
                polls.set(polls.get() + 1);
                all.as_mut().poll(context)
            })
            .await;
        }
    };
    for busy in 1..=8 {
        let task = runtime.spawn(counted(busy));
        runtime.block_on(task).unwrap();
        // One future has the budget of each poll, and is the first to be refused in the
        // next one, so it ends one poll later.
        assert!(polls.take() <= busy + 1, "{busy}");
    }
}

/// Operations of many tasks are refused, in the same slice and in others.
#[test]
fn every_task_wakes_its_own_operations() {
    let runtime = paused();
    let log = Log::default();
    let tasks = if cfg!(miri) { 8 } else { 200 };
    for _ in 0..tasks {
        let log = log.clone();
        drop(runtime.spawn(async move {
            let (a, b) = (log.waker("a"), log.waker("b"));
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                if polls > 3 {
                    return Poll::Ready(());
                }
                refuse(&[&a, &b]);
                again(context)
            })
            .await;
        }));
    }
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    let noted = log.0.borrow();
    let woken = |name| noted.iter().filter(|noted| *noted == name).count();
    assert_eq!((woken("a"), woken("b")), (3 * tasks, 3 * tasks));
}

/// Wakers are user code: they may panic, and may call the runtime.
#[test]
fn a_waker_that_panics_does_not_keep_others_from_being_woken() {
    let log = Log::default();
    let ((), panics) = recorded(|| {
        block_on(async {
            let task = spawn({
                let log = log.clone();
                async move {
                    let (a, c) = (log.waker("a"), log.waker("c"));
                    let panics = |when| {
                        calling(move |call| {
                            assert!(call != when, "a waker that panics");
                        })
                    };
                    let wake = panics(Call::Wake);
                    let dropped = panics(Call::Drop);
                    let mut first = true;
                    poll_fn(|context| {
                        if std::mem::take(&mut first) {
                            refuse(&[&a, &wake, &dropped, &c]);
                            return again(context);
                        }
                        Poll::Ready(())
                    })
                    .await;
                    assert_eq!(panic_of(|| drop(dropped)), "a waker that panics");
                }
            });
            task.await.unwrap();
        });
    });
    log.assert(&["c", "a"]);
    // The panics of the wake, and of the destructors of the clone and of the waker.
    assert_eq!(panics.len(), 3, "{panics:?}");
}

#[test]
fn a_panic_while_a_waker_is_cloned_is_a_panic_of_the_task() {
    let runtime = paused();
    let task = runtime.spawn(async {
        let waker = calling(|call| assert!(call != Call::Clone, "a clone that panics"));
        refuse(&[&waker]);
    });
    let error = runtime.block_on(task).unwrap_err();
    assert_eq!(
        panic_of(|| std::panic::resume_unwind(error.into_panic())),
        "a clone that panics"
    );
}

#[test]
fn a_waker_may_abort_its_task_and_spawn() {
    let log = Log::default();
    let runtime = paused();
    let handle = Rc::new(RefCell::new(None));
    let task = runtime.spawn({
        let (log, handle) = (log.clone(), Rc::clone(&handle));
        async move {
            let waker = calling(move |call| {
                if call == Call::Wake {
                    let own = handle.borrow_mut().take();
                    let own: coreloop::task::AbortHandle = own.expect("woken once");
                    own.abort();
                    let log = log.clone();
                    log.note("woken");
                    // Code that runs between tasks has no budget that could be spent.
                    assert!(coop::has_budget_remaining());
                    drop(spawn(async move { log.note("spawned") }));
                }
            });
            poll_fn(|_| {
                refuse(&[&waker]);
                Poll::<()>::Pending
            })
            .await;
        }
    });
    *handle.borrow_mut() = Some(task.abort_handle());
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    runtime.block_on(yield_now());
    log.assert(&["woken", "spawned"]);
}

/// A refused operation clones its waker, and that clone may poll another operation that
/// is refused.
#[test]
fn an_operation_may_be_refused_while_a_waker_is_cloned() {
    let log = Log::default();
    block_on(async {
        let inner = log.waker("inner");
        let outer = {
            let (log, inner) = (log.clone(), inner.clone());
            calling(move |call| match call {
                Call::Clone => refuse(&[&inner]),
                Call::Wake => log.note("outer"),
                Call::Drop => {}
            })
        };
        let mut first = true;
        poll_fn(|context| {
            if std::mem::take(&mut first) {
                refuse(&[&outer]);
                return again(context);
            }
            Poll::Ready(())
        })
        .await;
    });
    log.assert(&["outer", "inner"]);
}

/// An operation that is refused with the waker of its own task schedules the task at
/// once, like any wake.
#[test]
fn a_refused_task_keeps_its_place_in_the_queue() {
    let log = Log::default();
    let runtime = paused();
    let spender = log.clone();
    runtime.block_on(async {
        let task = spawn(async move {
            for _ in 0..129 {
                consume_budget().await;
            }
            spender.note("task");
        });
        let other = log.clone();
        yield_now().await;
        drop(spawn(async move { other.note("spawned later") }));
        task.await.unwrap();
        yield_now().await;
    });
    log.assert(&["task", "spawned later"]);
}

/// A yield, like a refusal, lets others run first.
#[test]
fn a_yield_in_a_combinator_is_woken_after_the_poll() {
    let log = Log::default();
    block_on(async {
        let waker = log.waker("yielded");
        let mut yielding = pin!(yield_now());
        let mut first = true;
        poll_fn(|context| {
            if std::mem::take(&mut first) {
                let mut own = Context::from_waker(&waker);
                assert!(yielding.as_mut().poll(&mut own).is_pending());
                log.note("polled");
                return again(context);
            }
            Poll::Ready(())
        })
        .await;
    });
    log.assert(&["polled", "yielded"]);
}
