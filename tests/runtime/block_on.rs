//! `block_on`: what its future may borrow, what happens to other tasks, and where it may
//! not be called.

use std::cell::{Cell, RefCell};
use std::future::{Ready, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, runtime, spawn};

use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::panics::recorded;

#[test]
fn the_future_and_its_output_may_borrow() {
    let mut text = String::from("borrowed");
    let runtime = Runtime::new().unwrap();
    let word: &str = runtime.block_on(async {
        yield_now().await;
        &text[..6]
    });
    assert_eq!(word, "borrow");
    runtime.block_on(async { text.push_str(" again") });
    assert_eq!(text, "borrowed again");
    let local = [1, 2, 3];
    let sum: i32 = block_on(async { local.iter().sum() });
    assert_eq!(sum, 6);
    assert_eq!(block_on::<Ready<&[i32]>>(ready(&local)).len(), 3);
}

#[test]
fn a_borrowing_future_is_dropped_when_block_on_returns() {
    let runtime = Runtime::new().unwrap();
    let dropped = Cell::new(0);
    let mut kept = None;
    runtime.block_on(async {
        let _guard = OnDrop::new(|| dropped.set(dropped.get() + 1));
        let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        // The root is in the ready queue when it ends, and stays there.
        waker.wake_by_ref();
        kept = Some(waker);
    });
    assert_eq!(dropped.get(), 1);
    // The queue refers only to the root's memory.
    kept.unwrap().wake();
    runtime.block_on(async { yield_now().await });
}

#[test]
fn a_borrowing_future_that_panics_is_dropped_when_block_on_panics() {
    let runtime = Runtime::new().unwrap();
    let kept: RefCell<Option<Waker>> = RefCell::default();
    for panics in [true, false] {
        let dropped = RefCell::new(Vec::new());
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _guard = OnDrop::new(|| dropped.borrow_mut().push("future"));
                let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
                waker.wake_by_ref();
                *kept.borrow_mut() = Some(waker);
                assert!(!panics, "after the borrow");
                OnDrop::new(|| dropped.borrow_mut().push("output"))
            })
        }));
        assert_eq!(unwound.is_err(), panics);
        drop(unwound);
        let order = dropped.into_inner();
        assert_eq!(order, ["future", "output"][..2 - usize::from(panics)]);
        kept.take().unwrap().wake();
    }
}

#[test]
fn unfinished_tasks_continue_at_the_next_block_on() {
    let runtime = Runtime::new().unwrap();
    let stop = Rc::new(Cell::new(false));
    let flag = Rc::clone(&stop);
    let task = runtime.spawn(async move {
        while !flag.get() {
            yield_now().await;
        }
        "stopped"
    });
    runtime.block_on(async {});
    runtime.block_on(async { yield_now().await });
    assert!(!task.is_finished());
    stop.set(true);
    assert_eq!(runtime.block_on(task).unwrap(), "stopped");
}

#[test]
#[should_panic(expected = "cannot block on a runtime from within a runtime")]
fn block_on_inside_block_on_panics() {
    block_on(async { block_on(async {}) });
}

#[test]
#[should_panic(expected = "cannot block on a runtime from within a runtime")]
fn block_on_inside_its_own_block_on_panics() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async { runtime.block_on(async {}) });
}

#[test]
#[should_panic(expected = "cannot block on a runtime from within a runtime")]
fn a_turn_inside_block_on_panics() {
    let runtime = Runtime::new().unwrap();
    let _ = runtime.block_on(async { runtime.turn(Some(Duration::ZERO)) });
}

#[test]
fn a_nested_block_on_panics_and_leaves_both_runtimes_usable() {
    let outer = Runtime::new().unwrap();
    let inner = Runtime::new().unwrap();
    outer.block_on(async {
        let dropped = Rc::new(Cell::new(false));
        let flag = Rc::clone(&dropped);
        let guard = OnDrop::new(move || flag.set(true));
        let refused = catch_unwind(AssertUnwindSafe(|| {
            inner.block_on(async move {
                let _guard = guard;
            });
        }));
        let panic = refused.unwrap_err();
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(
            text.contains("`.await` the future or `spawn` it instead"),
            "{text}"
        );
        assert!(dropped.get(), "the future was dropped");
        // The same holds in a task and in a destructor.
        let task = spawn(async { block_on(async {}) });
        assert!(task.await.unwrap_err().is_panic());
        let task = spawn(async {
            let _guard = OnDrop::new(|| block_on(async {}));
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    });
    assert_eq!(inner.block_on(async { 2 }), 2);
}

#[test]
fn the_panic_of_a_nested_block_on_names_the_caller() {
    let (refused, panics) = recorded(|| {
        catch_unwind(|| {
            block_on(async {
                let runtime = Runtime::new().unwrap();
                runtime.block_on(async {});
            });
        })
    });
    assert!(refused.is_err());
    assert_eq!(panics.len(), 1, "{panics:?}");
    assert!(panics[0].contains(file!()), "{panics:?}");
}

#[test]
fn runtimes_of_a_thread_take_turns() {
    let runtimes: Vec<_> = (0..3).map(|_| Runtime::new().unwrap()).collect();
    let count = Rc::new(Cell::new(0));
    for round in 0..3 {
        for runtime in &runtimes {
            let shared = Rc::clone(&count);
            drop(runtime.spawn(async move { shared.set(shared.get() + 1) }));
            runtime.block_on(async { yield_now().await });
        }
        assert_eq!(count.get(), (round + 1) * 3);
    }
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let (a, b) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (in_a, in_b) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let spawn_counting = |count: &Rc<Cell<u32>>| {
        let count = Rc::clone(count);
        drop(spawn(async move { count.set(count.get() + 1) }));
    };
    let guard_a = a.enter();
    spawn_counting(&in_a);
    let guard_b = b.enter();
    spawn_counting(&in_b);
    drop(guard_a);
    spawn_counting(&in_b);
    // After guards that were dropped out of order, the guard that is left counts.
    let guards = [a.enter(), a.enter(), b.enter()];
    let [first, second, third] = guards;
    drop(second);
    drop(first);
    drop(third);
    spawn_counting(&in_b);
    drop(guard_b);
    assert!(
        catch_unwind(|| spawn(async {})).is_err(),
        "no loop is current"
    );
    for runtime in [&a, &b] {
        runtime.block_on(async { yield_now().await });
    }
    assert_eq!((in_a.get(), in_b.get()), (1, 3));
    // Inside a task, the task's own loop is the current one, whichever runtime was
    // entered.
    let _guard = b.enter();
    a.block_on(async {
        spawn_counting(&in_a);
        yield_now().await;
    });
    assert_eq!(in_a.get(), 2);
}

#[test]
fn a_guard_made_in_a_task_may_outlive_the_call() {
    let (a, b) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let guard = a.block_on(async { b.enter() });
    drop(a);
    assert_eq!(b.block_on(spawn(async { 1 })).unwrap(), 1);
    drop(guard);
    assert!(
        catch_unwind(|| spawn(async {})).is_err(),
        "no loop is current"
    );
    b.block_on(async { spawn(async {}).await.unwrap() });
}

/// The loop of a forgotten guard stays the current one, and is kept alive.
#[test]
#[cfg_attr(miri, ignore = "it leaks a runtime's memory")]
fn a_forgotten_guard_keeps_its_loop() {
    // On a thread of its own, whose current loop stays set.
    thread::spawn(|| {
        let runtime = Runtime::new().unwrap();
        std::mem::forget(runtime.enter());
        drop(runtime);
        assert!(
            spawn(async {}).is_finished(),
            "cancelled by a loop that has ended"
        );
        block_on(async {
            assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
            std::mem::forget(Runtime::new().unwrap().enter());
            let task = spawn(async {});
            assert!(task.await.unwrap_err().is_cancelled());
        });
    })
    .join()
    .unwrap();
}

#[test]
fn a_builder_builds_many_runtimes() {
    let builder = runtime::Builder::new().event_interval(1);
    for _ in 0..3 {
        let runtime = builder.build().unwrap();
        assert_eq!(
            runtime.block_on(async { spawn(async { 5 }).await.unwrap() }),
            5
        );
    }
}

#[test]
#[should_panic(expected = "event_interval must be at least 1")]
fn an_event_interval_of_zero_panics() {
    let _ = runtime::Builder::new().event_interval(0);
}

#[test]
fn each_thread_has_its_own_runtime() {
    let threads: Vec<_> = (0..3)
        .map(|n| {
            thread::spawn(move || {
                block_on(async move { spawn(async move { n * 2 }).await.unwrap() })
            })
        })
        .collect();
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), n * 2);
    }
}

#[test]
fn the_loop_stops_with_its_future() {
    let runtime = Runtime::new().unwrap();
    let polls = Rc::new(Cell::new(0));
    runtime.block_on(async {
        for _ in 0..20 {
            let polls = Rc::clone(&polls);
            drop(spawn(async move { polls.set(polls.get() + 1) }));
        }
    });
    assert_eq!(polls.get(), 0, "the root ran first and has ended");
    runtime.block_on(yield_now());
    assert_eq!(polls.get(), 20);
}

#[test]
fn the_loop_stops_with_a_future_that_panics() {
    let runtime = Runtime::new().unwrap();
    let polled = Rc::new(Cell::new(false));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let polled = Rc::clone(&polled);
            drop(spawn(async move { polled.set(true) }));
            panic!("at once");
        });
    }));
    assert!(panic.is_err());
    assert!(!polled.get());
    runtime.block_on(yield_now());
    assert!(polled.get());
}
