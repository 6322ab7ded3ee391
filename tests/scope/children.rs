//! `scope`, whose children may borrow.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use coreloop::cleanup::{bracket, defer, flush};
use coreloop::scope::{ScopedJoinHandle, cancel_scope, scope};
use coreloop::task::yield_now;
use coreloop::{block_on, select, spawn};

use coreloop_test_support::clock::paused;
use coreloop_test_support::deadline::in_time;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::trace::{Trace, ticks};
use futures_lite::future::or;

fn used(trace: &Trace, name: &'static str, count: u32) -> impl Future<Output = ()> + use<> {
    let close = trace.closing(count);
    bracket(async move || name, async |_| pending::<()>().await, close)
}

#[coreloop::test(start_paused = true)]
async fn children_may_borrow_and_change_variables_around_the_scope() {
    let text = String::from("shared");
    let mut numbers = vec![0; 30];
    let total = Cell::new(0);
    let length = scope(async |scope| {
        for (at, chunk) in numbers.chunks_mut(3).enumerate() {
            let (text, total) = (&text, &total);
            let _child = scope.spawn(async move {
                for number in chunk {
                    yield_now().await;
                    *number = at * text.len();
                    total.set(total.get() + 1);
                }
            });
        }
        text.len()
    })
    .await;
    assert_eq!((length, total.get()), (6, 30));
    assert_eq!(numbers[27..], [54, 54, 54]);
}

#[coreloop::test(start_paused = true)]
async fn the_scope_waits_for_its_children() {
    let trace = Trace::new();
    let output = scope(async |scope| {
        for (name, count) in [("a", 3), ("b", 1)] {
            drop(scope.spawn(trace.step(name, count)));
        }
        trace.note("body end");
        "output"
    })
    .await;
    trace.note(output);
    trace.assert(&[
        "0 body end",
        "0 a begin",
        "0 b begin",
        "1 b end",
        "3 a end",
        "3 output",
    ]);
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "a hundred children, in safe code")]
async fn handles_return_outputs_in_any_order() {
    for count in [1_u32, 5, 8, 9, 100] {
        let outputs = scope(async |scope| {
            let handles: Vec<_> = (0..count)
                .map(|number| {
                    scope.spawn(async move {
                        ticks(count - number).await;
                        number
                    })
                })
                .collect();
            let mut outputs = Vec::new();
            for handle in handles {
                outputs.push(handle.await);
            }
            outputs
        });
        assert_eq!(outputs.await, (0..count).collect::<Vec<_>>());
    }
}

#[coreloop::test(start_paused = true)]
async fn children_may_spawn_siblings() {
    let ran = RefCell::new(Vec::new());
    scope(async |scope| {
        let ran = &ran;
        let siblings = scope.clone();
        drop(scope.spawn(async move {
            for number in 0..3 {
                let more = siblings.clone();
                drop(siblings.spawn(async move {
                    ran.borrow_mut().push(number);
                    if number == 2 {
                        drop(more.spawn(async move { ran.borrow_mut().push(3) }));
                    }
                }));
            }
        }));
    })
    .await;
    assert_eq!(ran.take(), [0, 1, 2, 3]);
}

/// A child that is always ready starves neither its siblings nor other tasks.
/// <https://github.com/rust-lang/futures-rs/issues/2047>
#[coreloop::test]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn each_child_is_polled_once_a_pass() {
    let (turns, others) = (Cell::new(0), Rc::new(Cell::new(0)));
    let count = Rc::clone(&others);
    let other = spawn(async move {
        loop {
            count.set(count.get() + 1);
            yield_now().await;
        }
    });
    let result = cancel_scope(async |canceller| {
        scope(async |scope| {
            for _ in 0..20 {
                drop(scope.spawn(async {
                    loop {
                        turns.set(turns.get() + 1);
                        yield_now().await;
                    }
                }));
            }
            while others.get() < 10 {
                yield_now().await;
            }
            canceller.cancel();
        })
        .await;
    });
    assert!(result.await.is_err());
    other.abort();
    assert!(
        turns.get() <= 20 * (others.get() + 2),
        "{} turns",
        turns.get()
    );
}

/// Of many children, only the ones that were woken are polled.
#[coreloop::test]
#[cfg_attr(miri, ignore = "counts polls, in safe code")]
async fn children_that_are_not_woken_are_not_polled() {
    let polls = Cell::new(0);
    let wakers: RefCell<Vec<Waker>> = RefCell::default();
    let go: Vec<_> = (0..100).map(|_| Cell::new(false)).collect();
    scope(async |scope| {
        for go in &go {
            let (polls, wakers) = (&polls, &wakers);
            drop(scope.spawn(poll_fn(move |context| {
                polls.set(polls.get() + 1);
                if go.get() {
                    return Poll::Ready(());
                }
                wakers.borrow_mut().push(context.waker().clone());
                Poll::Pending
            })));
        }
        // After two passes, each child has a waker of its own.
        yield_now().await;
        yield_now().await;
        yield_now().await;
        let before = polls.get();
        assert!(before <= 200, "{before} polls");
        for at in [3, 70] {
            go[at].set(true);
            wakers.borrow()[100 + at].wake_by_ref();
            wakers.borrow()[100 + at].wake_by_ref();
            yield_now().await;
            yield_now().await;
        }
        assert_eq!(polls.get(), before + 2);
        for go in &go {
            go.set(true);
        }
        for waker in wakers.take() {
            waker.wake();
        }
    })
    .await;
}

/// A child is polled again only because a thread woke it, so after a lost wake the scope
/// waits for ever. A single child is woken by the waker of its scope; many children have
/// wakers of their own.
#[test]
fn children_are_woken_from_other_threads() {
    const THREADS: usize = 4;
    const WAKES: usize = 4;

    let many = if cfg!(miri) { 12 } else { 100 };
    for count in [1, many] {
        in_time(move || {
            // The wakes of each child. Relaxed, because the wake must make the count
            // visible.
            let woken: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            thread::scope(|threads| {
                let senders = [(); THREADS].map(|()| {
                    let (sender, wakers) = mpsc::channel::<(usize, Waker)>();
                    let woken = &woken;
                    threads.spawn(move || {
                        for (child, waker) in wakers {
                            woken[child].fetch_add(1, Ordering::Relaxed);
                            waker.wake();
                        }
                    });
                    sender
                });
                block_on(scope(async |scope| {
                    for (child, woken) in woken.iter().enumerate() {
                        let sender = &senders[child % THREADS];
                        drop(scope.spawn(poll_fn(move |context| {
                            if woken.load(Ordering::Relaxed) >= WAKES {
                                return Poll::Ready(());
                            }
                            sender.send((child, context.waker().clone())).unwrap();
                            Poll::Pending
                        })));
                    }
                }));
            });
        });
    }
}

#[coreloop::test(start_paused = true)]
async fn a_panic_of_a_child_cancels_the_others_and_propagates() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            scope(async |scope| {
                drop(scope.spawn(used(&trace, "a", 2)));
                let _guard = trace.guard("body", 1);
                let panics = scope.spawn(async {
                    ticks(1).await;
                    panic!("in a child");
                });
                let () = panics.await;
                trace.note("continued");
            })
            .await;
        }
    });
    let error = task.await.unwrap_err();
    assert_eq!(
        *error.into_panic().downcast::<&str>().unwrap(),
        "in a child"
    );
    trace.note("joined");
    trace.assert(&[
        "1 a begin",
        "3 a end",
        "3 body begin",
        "4 body end",
        "4 joined",
    ]);
}

/// Miri reports it if the scope forms a shared reference to the whole child, because that
/// invalidates the references inside.
#[coreloop::test]
async fn a_child_that_panics_may_contain_references_to_itself() {
    struct Adds<'a>(&'a mut u32);

    impl Drop for Adds<'_> {
        fn drop(&mut self) {
            *self.0 += 1;
        }
    }

    let task = spawn(scope(async |scope| {
        let refers_to_itself = async {
            let mut number = 1;
            let _adds = Adds(&mut number);
            pending::<()>().await;
        };
        let panics = async {
            drop(defer(ready(())));
            panic!("with a cleanup left");
        };
        scope.spawn(or(refers_to_itself, panics)).await;
    }));
    assert!(task.await.unwrap_err().is_panic());
}

#[coreloop::test(start_paused = true)]
async fn a_panic_of_the_body_cancels_the_children() {
    let trace = Trace::new();
    let task = spawn({
        let trace = trace.clone();
        async move {
            scope(async |scope| {
                drop(scope.spawn(used(&trace, "a", 2)));
                drop(scope.spawn(async {
                    ticks(9).await;
                    trace.note("continued");
                }));
                ticks(1).await;
                panic!("in the body");
            })
            .await;
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    trace.note("joined");
    trace.assert(&["1 a begin", "3 a end", "3 joined"]);
}

#[coreloop::test(start_paused = true)]
async fn the_first_of_two_panics_propagates() {
    let task = spawn(async {
        scope(async |scope| {
            for text in ["first", "second"] {
                drop(scope.spawn(async move { std::panic::panic_any(text) }));
            }
        })
        .await;
    });
    let error = task.await.unwrap_err();
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "first");
}

/// In asyncio such a group never ends.
/// <https://github.com/python/cpython/issues/155418>
#[coreloop::test(start_paused = true)]
async fn a_child_spawned_in_a_cancelled_scope_is_never_polled() {
    let begun = Cell::new(false);
    let result = cancel_scope(async |canceller| {
        scope(async |scope| {
            canceller.cancel();
            scope.spawn(async { begun.set(true) }).await;
        })
        .await;
    });
    assert!(result.await.is_err());
    assert!(!begun.get());
}

#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "dozens of children, in safe code")]
async fn an_abort_reaches_brackets_in_many_children() {
    for count in [3, 30] {
        let trace = Trace::new();
        let task = spawn({
            let trace = trace.clone();
            async move {
                scope(async |scope| {
                    for _ in 0..count {
                        drop(scope.spawn(used(&trace, "child", 1)));
                    }
                })
                .await;
            }
        });
        ticks(2).await;
        assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
        let events = trace.events();
        assert_eq!(events.len(), 2 * count);
        assert!(events[..count].iter().all(|event| event == "2 child begin"));
        assert!(events[count..].iter().all(|event| event == "3 child end"));
    }
}

#[coreloop::test(start_paused = true)]
async fn a_scope_that_is_dropped_drops_its_children_and_closes_their_brackets() {
    let trace = Trace::new();
    select! {
        () = scope(async |scope| {
            drop(scope.spawn(used(&trace, "a", 2)));
            drop(scope.spawn(used(&trace, "b", 2)));
            pending::<()>().await;
        }) => unreachable!(),
        () = ticks(1) => {}
    }
    flush().await;
    trace.assert(&["1 a begin", "3 a end", "3 b begin", "5 b end"]);
}

#[cfg_attr(miri, ignore = "forgets memory, which Miri reports as leaked")]
#[test]
fn a_scope_may_be_forgotten() {
    let runtime = paused();
    runtime.block_on(async {
        let number = Rc::new(5);
        let kept = Rc::clone(&number);
        let mut forgotten = Box::pin(scope(async move |scope| {
            drop(scope.spawn(async move {
                pending::<()>().await;
                drop(kept);
            }));
            pending::<()>().await;
        }));
        poll_fn(|context| Poll::Ready(forgotten.as_mut().poll(context).is_pending())).await;
        std::mem::forget(forgotten);
        assert_eq!(Rc::strong_count(&number), 2);
    });
}

#[coreloop::test(start_paused = true)]
async fn a_spawn_after_the_end_of_the_scope_does_nothing() {
    let escaped = scope(async |scope| scope).await;
    let dropped = Rc::new(());
    let held = Rc::clone(&dropped);
    let handle = escaped.spawn(async move { drop(held) });
    assert_eq!(Rc::strong_count(&dropped), 1);
    assert!(!handle.is_finished());
}

/// The destructors of the children spawn when the scope is dropped.
#[test]
fn children_may_spawn_from_destructors() {
    struct Spawns(coreloop::scope::Scope<'static>);

    impl Drop for Spawns {
        fn drop(&mut self) {
            drop(self.0.spawn(async {}));
        }
    }

    let mut running = Box::pin(scope(async |scope| {
        for _ in 0..3 {
            let spawns = Spawns(scope.clone());
            drop(scope.spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            }));
        }
        pending::<()>().await;
    }));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(running.as_mut().poll(context).is_pending());
    drop(running);
}

/// A scope needs no runtime, and takes any waker.
#[test]
fn a_scope_works_under_another_executor() {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut numbers = [1, 2, 3];
    {
        let mut running = pin!(scope(async |scope| {
            for number in &mut numbers {
                drop(scope.spawn(async move {
                    yield_now().await;
                    *number += 1;
                }));
            }
        }));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while running
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            thread::park();
        }
    }
    assert_eq!(numbers, [2, 3, 4]);
}

#[test]
fn a_panic_propagates_without_a_runtime_too() {
    let mut running = pin!(scope(async |scope| {
        drop(scope.spawn(async { panic!("in a child") }));
        pending::<()>().await;
    }));
    let context = &mut Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)));
    assert!(polled.is_err());
}

/// A cancelled scope visits what is below it once, not at each wake.
#[coreloop::test(start_paused = true)]
#[cfg_attr(miri, ignore = "a thousand children, in safe code")]
async fn a_thousand_brackets_close_one_after_the_other() {
    let count = if cfg!(miri) { 20 } else { 1000 };
    let closed = Rc::new(Cell::new(0));
    let result = cancel_scope(async |canceller| {
        scope(async |scope| {
            for number in 0..count {
                let closed = Rc::clone(&closed);
                let close = async move |()| {
                    ticks(number % 30).await;
                    closed.set(closed.get() + 1);
                };
                drop(scope.spawn(bracket(
                    async || (),
                    async |()| pending::<()>().await,
                    close,
                )));
            }
            ticks(1).await;
            canceller.cancel();
        })
        .await;
    });
    assert!(result.await.is_err());
    assert_eq!(closed.get(), count);
}

/// Two destructors that panic at the same time would abort the process.
#[test]
fn handles_are_dropped_together_though_every_output_panics_when_dropped() {
    let dropped = Cell::new(0);
    let ((), panics) = recorded(|| {
        block_on(scope(async |scope| {
            let output = || {
                OnDrop::new(|| {
                    dropped.set(dropped.get() + 1);
                    panic!("unwanted");
                })
            };
            let handles: Vec<_> = (0..3).map(|_| scope.spawn(ready(output()))).collect();
            while !handles.iter().all(ScopedJoinHandle::is_finished) {
                yield_now().await;
            }
            drop(handles);
        }));
    });
    assert_eq!(dropped.get(), 3);
    assert_eq!(panics.len(), 3);
}
