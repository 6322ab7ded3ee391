//! One task with every kind of cleanup: it is aborted at every poll, in every manner, and
//! dropped with its runtime after every turn. Nothing of it may be left.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::cleanup::{AsyncGuard, CleanupFailure, bracket, defer, flush, shield};
use coreloop::scope::{Canceller, TaskGroup, cancel_scope, scope, timeout_at};
use coreloop::stream::{Co, stream};
use coreloop::sync::Mutex;
use coreloop::task::coop::has_budget_remaining;
use coreloop::task::{AbortHandle, JoinHandle, consume_budget, spawn_blocking, yield_now};
use coreloop::time::Instant;
use coreloop::{race, select, spawn};

use coreloop_test_support::clock::paused;
use coreloop_test_support::reports::Reports;
use coreloop_test_support::trace::{TICK, Trace, ticks};

/// Miri tests only some of the polls, because each takes it a second.
const STEP: usize = if cfg!(miri) { 15 } else { 1 };

/// A value that is shared by all its holders, so that they are counted.
type Token = Rc<()>;

/// Creates a guard that holds a token until its cleanup has ended.
fn guard(token: &Token) -> AsyncGuard<Token, impl AsyncFnOnce(Token) + use<>> {
    AsyncGuard::new(Rc::clone(token), async |token| {
        ticks(1).await;
        drop(token);
    })
}

/// Holds a token while `body` runs and until the bracket is closed.
async fn used(token: &Token, body: impl Future<Output = ()>) {
    let close = async |token| {
        yield_now().await;
        drop(token);
    };
    bracket(async || Rc::clone(token), async |_| body.await, close).await;
}

/// Closes a bracket with a task and a group of its own.
async fn close_with_others(token: Token) {
    let child = Rc::clone(&token);
    drop(spawn(async move {
        ticks(1).await;
        drop(child);
    }));
    let mut group = TaskGroup::<()>::new();
    drop(group.spawn(async move {
        let _guard = guard(&token);
        Ok(())
    }));
    group.join().await.unwrap();
}

async fn everything(token: Token, lock: Rc<Mutex<()>>) {
    let _whole = guard(&token);
    let held = lock.lock().await;
    let body = async |token: &mut Token| {
        used(token, async {
            let inner = async {
                let _guard = guard(token);
                pending::<()>().await;
            };
            select! {
                () = ticks(1) => {}
                () = inner => {}
            }
            flush().await;
        })
        .await;
    };
    bracket(async || Rc::clone(&token), body, close_with_others).await;
    drop(held);

    scope(async |scope| {
        for count in 0..12 {
            let token = &token;
            drop(scope.spawn(async move {
                let _guard = guard(token);
                ticks(count % 3).await;
            }));
        }
    })
    .await;
    race!(used(&token, pending()), ticks(1));

    let mut items = pin!(stream(async |mut co: Co<u32>| {
        let _guard = guard(&token);
        for item in 0..3 {
            ticks(1).await;
            co.yield_(item).await?;
        }
        Ok(())
    }));
    assert_eq!(items.next().await, Some(0));
    items.close().await;

    let mut group = TaskGroup::<()>::new();
    for _ in 0..3 {
        let token = Rc::clone(&token);
        drop(group.spawn(async move {
            used(&token, ticks(2)).await;
            Ok(())
        }));
    }
    group.join().await.unwrap();
    let soon = Instant::now() + TICK;
    let late = timeout_at(soon, timeout_at(soon, shield(ticks(2)))).await;
    assert!(late.is_err());
    spawn_blocking(|| ()).await.unwrap();
    shield(async {
        let _guard = guard(&token);
        ticks(1).await;
    })
    .await;
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    Once,
    Again,
    Elsewhere,
}

/// Runs [`everything`], aborted at one of its polls. Returns whether it returned, and how
/// often it was polled.
fn run_aborted(at: usize, manner: Manner) -> (bool, usize) {
    let runtime = paused();
    let token = Token::default();
    let lock = Rc::new(Mutex::new(()));
    let polls = Rc::new(Cell::new(0));
    let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
    let returned = runtime.block_on(async {
        let task = spawn({
            let everything = everything(Rc::clone(&token), Rc::clone(&lock));
            let (polls, own) = (Rc::clone(&polls), Rc::clone(&own));
            async move {
                let mut everything = pin!(everything);
                poll_fn(|context| {
                    let poll = everything.as_mut().poll(context);
                    polls.set(polls.get() + 1);
                    assert!(polls.get() < 1000, "{manner:?} {at}: the task spins");
                    if polls.get() == at {
                        let abort = own.borrow().clone().unwrap();
                        abort_in(manner, abort);
                    }
                    poll
                })
                .await;
            }
        });
        *own.borrow_mut() = Some(task.abort_handle());
        let waits = async {
            yield_now().await;
            drop(lock.lock().await);
        };
        waits.await;
        let returned = task.await.is_ok();
        // Time for the tasks that the cleanups have spawned.
        ticks(3).await;
        returned
    });
    own.take();
    assert_eq!(runtime.metrics().alive_tasks(), 0, "{manner:?} {at}");
    assert_eq!(runtime.next_timer(), None, "{manner:?} {at}");
    assert_eq!(Rc::strong_count(&token), 1, "{manner:?} {at}");
    assert_eq!(Rc::strong_count(&lock), 1, "{manner:?} {at}");
    (returned, polls.get())
}

fn abort_in(manner: Manner, abort: AbortHandle) {
    match manner {
        Manner::Once => abort.abort(),
        Manner::Again => {
            abort.abort();
            drop(spawn(async move {
                yield_now().await;
                abort.abort();
            }));
        }
        Manner::Elsewhere => thread::spawn(move || abort.abort()).join().unwrap(),
    }
}

#[test]
fn an_abort_at_every_poll_of_everything_leaves_nothing() {
    let (returned, polls) = run_aborted(usize::MAX, Manner::Once);
    assert!(returned && polls > 20, "{polls} polls");
    let manners = [Manner::Once, Manner::Again, Manner::Elsewhere];
    for (index, manner) in manners.into_iter().enumerate() {
        // Under Miri, each of the polls is aborted in one manner only.
        let (first, step) = if cfg!(miri) {
            (1 + index * STEP, manners.len() * STEP)
        } else {
            (1, STEP)
        };
        for at in (first..polls).step_by(step) {
            let (_, polled) = run_aborted(at, manner);
            // The task is woken when its cleanups are ready, and does not poll in
            // between.
            assert!(
                polled <= polls.max(at + 16),
                "{manner:?} {at}: {polled} polls"
            );
        }
    }
}

#[test]
fn a_runtime_that_ends_after_any_turn_leaves_nothing() {
    for turns in (1..).step_by(STEP) {
        let mut is_done = false;
        for shuts_down in [false, true] {
            let reports = Reports::new();
            let builder = reports.builder().start_paused(true);
            let runtime = builder.build().unwrap();
            let token = Token::default();
            let lock = Rc::new(Mutex::new(()));
            let task = runtime.spawn(everything(Rc::clone(&token), Rc::clone(&lock)));
            for _ in 0..turns {
                is_done = task.is_finished();
                if is_done {
                    break;
                }
                runtime.turn(Some(TICK)).unwrap();
            }
            if shuts_down {
                let report = runtime.shutdown(Duration::ZERO);
                assert!(report.cleanups().is_empty(), "{turns}: {report:?}");
            } else {
                drop(runtime);
            }
            drop(task);
            let failures = reports.cleanups();
            let abandoned = failures.iter().all(CleanupFailure::is_abandoned);
            assert!(abandoned, "{turns} {shuts_down}: {failures:?}");
            assert_eq!(Rc::strong_count(&token), 1, "{turns} {shuts_down}");
            assert_eq!(Rc::strong_count(&lock), 1, "{turns} {shuts_down}");
        }
        if is_done {
            break;
        }
    }
}

#[coreloop::test(start_paused = true)]
async fn a_frozen_task_is_not_polled_in_vain_and_the_next_task_has_its_budget() {
    let polls = Rc::new(Cell::new(0));
    let task = spawn({
        let polls = Rc::clone(&polls);
        async move {
            let body = async |()| loop {
                coreloop::task::unconstrained(ticks(1)).await;
            };
            let body = async |(): &mut ()| body(()).await;
            let mut used = pin!(bracket(async || (), body, async |()| ticks(50).await));
            poll_fn(|context| {
                polls.set(polls.get() + 1);
                used.as_mut().poll(context)
            })
            .await;
        }
    });
    ticks(2).await;
    let before = polls.get();
    task.abort();
    ticks(20).await;
    assert!(polls.get() <= before + 2, "{} polls", polls.get() - before);
    let units = spawn(async {
        let mut units = 0;
        while has_budget_remaining() {
            consume_budget().await;
            units += 1;
        }
        units
    });
    assert_eq!(units.await.unwrap(), 128);
    assert!(task.await.unwrap_err().is_cancelled());
}

/// The cleanup of each task aborts the other task, and one of them waits for that.
#[coreloop::test(start_paused = true)]
async fn two_tasks_may_cancel_each_other_in_their_cleanups() {
    let trace = Trace::new();
    let first: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let theirs = Rc::clone(&first);
    let second = spawn(async move {
        let _cancels = defer(async move {
            let first = theirs.take().unwrap();
            assert!(first.abort_and_wait().await.unwrap_err().is_cancelled());
        });
        pending::<()>().await;
    });
    let back = second.abort_handle();
    let guard = trace.guard("first", 2);
    *first.borrow_mut() = Some(spawn(async move {
        let _guard = guard;
        let _cancels = defer(async move {
            back.abort();
            ticks(1).await;
        });
        pending::<()>().await;
    }));
    ticks(1).await;
    assert!(second.abort_and_wait().await.unwrap_err().is_cancelled());
    trace.assert(&["2 first begin", "4 first end"]);
}

struct Cancels(Canceller);

impl Drop for Cancels {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[coreloop::test(start_paused = true)]
async fn a_destructor_may_cancel_the_scope_that_it_is_in() {
    let token = Token::default();
    for place in 0..3 {
        let cancelled = cancel_scope(async |canceller| {
            let value = Cancels(canceller);
            match place {
                0 => bracket(async || value, async |_| ticks(1).await, async |_| {}).await,
                1 => AsyncGuard::new(value, async |_| {}).close().await,
                _ => {
                    scope(async |scope| {
                        drop(scope.spawn(async move {
                            let _value = value;
                            ticks(1).await;
                        }));
                        let token = &token;
                        drop(scope.spawn(used(token, pending())));
                    })
                    .await;
                }
            }
            unreachable!("the body continued after {place}");
        });
        assert!(cancelled.await.is_err());
    }
}

/// The bracket is polled first without a runtime and then in a task, and the other way
/// round.
#[test]
fn a_bracket_may_be_polled_both_in_a_task_and_without_a_runtime() {
    let token = Token::default();
    let using = || {
        let token = Rc::clone(&token);
        let body = async |_: &mut Token| {
            for _ in 0..2 {
                let mut is_first = true;
                poll_fn(|_| match std::mem::take(&mut is_first) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                })
                .await;
            }
        };
        Box::pin(bracket(async || token, body, async |token| drop(token)))
    };
    let noop = &mut Context::from_waker(Waker::noop());
    let runtime = paused();

    let mut begun = using();
    assert!(begun.as_mut().poll(noop).is_pending());
    assert!(begun.as_mut().poll(noop).is_pending());
    runtime.block_on(async { spawn(begun).await.unwrap() });
    assert_eq!(Rc::strong_count(&token), 1);

    let mut begun = using();
    runtime.block_on(poll_fn(|context| {
        assert!(begun.as_mut().poll(context).is_pending());
        Poll::Ready(())
    }));
    drop(runtime);
    assert!(begun.as_mut().poll(noop).is_pending());
    assert!(begun.as_mut().poll(noop).is_ready());
    assert_eq!(Rc::strong_count(&token), 1);
}
