//! Join handles: the outputs that they return, the wakers that they wake, and the tasks
//! that outlive them.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::task::{self, JoinHandle, yield_now};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::waiter::Count;
use coreloop_test_support::wakers::{Call, calling};

fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn a_handle_returns_the_output_whether_awaited_before_or_after_the_end() {
    block_on(async {
        let early = spawn(async {
            yield_now().await;
            "early"
        });
        let late = spawn(async { "late" });
        assert!(!late.is_finished());
        assert_eq!(early.await.unwrap(), "early");
        assert!(late.is_finished());
        assert_eq!(late.await.unwrap(), "late");
    });
}

#[test]
fn tasks_run_in_the_order_of_their_spawning() {
    block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let handles: Vec<_> = (0..5)
            .map(|n| {
                let order = Rc::clone(&order);
                spawn(async move { order.borrow_mut().push(n) })
            })
            .collect();
        assert!(order.borrow().is_empty(), "nothing runs before its turn");
        for handle in handles {
            handle.await.unwrap();
        }
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn dropping_the_handle_detaches_the_task() {
    let runtime = Runtime::new().unwrap();
    let ran = Rc::new(Cell::new(false));
    let flag = Rc::clone(&ran);
    drop(runtime.spawn(async move {
        yield_now().await;
        flag.set(true);
    }));
    runtime.block_on(async {
        yield_until(|| ran.get()).await;
    });
}

#[test]
fn the_output_of_a_detached_task_is_dropped_at_its_end() {
    block_on(async {
        let dropped = Rc::new(Cell::new(false));
        let flag = Rc::clone(&dropped);
        drop(spawn(async move { OnDrop::new(move || flag.set(true)) }));
        assert!(!dropped.get());
        yield_now().await;
        assert!(dropped.get());
    });
}

#[test]
fn an_output_that_was_not_taken_is_dropped_with_the_handle() {
    block_on(async {
        let dropped = Rc::new(Cell::new(false));
        let flag = Rc::clone(&dropped);
        let handle = spawn(async move { OnDrop::new(move || flag.set(true)) });
        yield_now().await;
        assert!(handle.is_finished() && !dropped.get());
        drop(handle);
        assert!(dropped.get());
    });
}

#[test]
fn outputs_may_have_any_size_and_alignment() {
    #[repr(align(128))]
    struct Aligned(u8);

    block_on(async {
        spawn(async {}).await.unwrap();
        assert_eq!(spawn(async { [7_u8; 4096] }).await.unwrap(), [7; 4096]);

        let aligned = Aligned(1);
        let handle = spawn(async move {
            let place = &raw const aligned;
            yield_now().await;
            assert_eq!(place.addr() % 128, 0);
            // The value has not moved, and is still aligned.
            assert_eq!(place, &raw const aligned);
            aligned
        });
        assert_eq!(handle.await.unwrap().0, 1);

        // A small future with a big output, and the other way round.
        let aligned = spawn(std::future::ready(Aligned(2)));
        assert_eq!(aligned.await.unwrap().0, 2);
        let big = [3_u8; 1000];
        let sum = spawn(async move {
            yield_now().await;
            big.iter().map(|&byte| u32::from(byte)).sum::<u32>()
        });
        assert_eq!(sum.await.unwrap(), 3000);
    });
}

#[test]
#[should_panic(expected = "JoinHandle polled after it gave the output of task")]
fn a_handle_polled_after_its_output_panics() {
    block_on(async {
        let mut handle = spawn(async {});
        (&mut handle).await.unwrap();
        let _ = handle.await;
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let runtime = Runtime::new().unwrap();
    let mut handle = runtime.spawn(async {});
    let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
    assert!(poll_once(&mut handle, &Arc::clone(&first).into()).is_pending());
    assert!(poll_once(&mut handle, &Arc::clone(&second).into()).is_pending());
    assert!(poll_once(&mut handle, &Arc::clone(&second).into()).is_pending());
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(first.get(), 0);
    assert_eq!(second.get(), 1);
    assert!(poll_once(&mut handle, Waker::noop()).is_ready());
}

/// Cancel safety: the output survives an await that was dropped.
#[test]
fn a_dropped_await_loses_nothing() {
    block_on(async {
        let mut handle = spawn(async {
            yield_now().await;
            5
        });
        {
            let awaiting = pin!(&mut handle);
            let mut awaiting = awaiting;
            assert!(poll_once(&mut awaiting, Waker::noop()).is_pending());
        }
        assert_eq!(handle.await.unwrap(), 5);
    });
}

#[test]
fn a_handle_outlives_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let done = runtime.spawn(async { "done" });
    let waiting = runtime.spawn(pending::<()>());
    let mut parked = runtime.spawn(pending::<()>());
    runtime.block_on(async { yield_now().await });
    let count = Arc::<Count>::default();
    assert!(poll_once(&mut parked, &Arc::clone(&count).into()).is_pending());
    drop(runtime);

    assert_eq!(count.get(), 1, "the waiter was woken");
    assert!(done.is_finished() && waiting.is_finished() && parked.is_finished());
    waiting.abort();
    waiting.abort_handle().abort();
    block_on(async {
        assert_eq!(done.await.unwrap(), "done");
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert!(parked.await.unwrap_err().is_cancelled());
    });
}

/// Two runtimes on one thread: the waiter's loop is woken through its inbox.
#[test]
fn a_handle_is_awaited_on_another_runtime() {
    let (here, there) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let task = there.spawn(async {
        yield_now().await;
        11
    });
    let waiter = here.spawn(task);
    here.turn(Some(Duration::ZERO)).unwrap();
    assert!(!waiter.is_finished());
    while there.turn(Some(Duration::ZERO)).unwrap() {}
    assert_eq!(here.block_on(waiter).unwrap().unwrap(), 11);
}

#[test]
fn a_task_may_hold_its_own_handle() {
    block_on(async {
        let slot: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
        let own = Rc::clone(&slot);
        let probe = Rc::new(Cell::new(false));
        let flag = Rc::clone(&probe);
        let handle = spawn(async move {
            let mut handle = poll_fn(|_| match own.take() {
                Some(handle) => Poll::Ready(handle),
                None => Poll::Pending,
            })
            .await;
            assert!(!handle.is_finished());
            assert!(poll_once(&mut handle, Waker::noop()).is_pending());
            flag.set(true);
        });
        *slot.borrow_mut() = Some(handle);
        yield_until(|| probe.get()).await;
    });
}

/// A handle that is never dropped keeps the task's memory, and nothing else.
#[test]
fn a_forgotten_handle_is_only_a_leak() {
    // In a static, so that Miri does not report a leak.
    static KEPT: AtomicPtr<JoinHandle<Vec<u8>>> = AtomicPtr::new(std::ptr::null_mut());

    let runtime = Runtime::new().unwrap();
    let handle = runtime.spawn(async { vec![1, 2, 3] });
    KEPT.store(Box::into_raw(Box::new(handle)), Ordering::Relaxed);
    runtime.block_on(async { yield_now().await });
    drop(runtime);
}

#[test]
fn tasks_have_distinct_ids() {
    let other = std::thread::spawn(|| block_on(async { task::id() }))
        .join()
        .unwrap();
    block_on(async {
        let root = task::id();
        let handle = spawn(async { task::id() });
        let id = handle.id();
        assert_eq!(handle.abort_handle().id(), id);
        assert_eq!(handle.await.unwrap(), id);
        assert_eq!(task::id(), root);
        assert!(id != root && id != other && root != other);
    });
    assert_eq!(task::try_id(), None);
}

#[test]
#[should_panic(expected = "task::id() called outside a task")]
fn an_id_outside_a_task_panics() {
    let _ = task::id();
}

#[test]
#[should_panic(expected = "spawn called outside a coreloop runtime")]
fn a_spawn_outside_a_runtime_panics() {
    drop(spawn(async {}));
}

#[test]
fn errors_say_what_happened_to_which_task() {
    block_on(async {
        let aborted = spawn(pending::<()>());
        aborted.abort();
        let id = aborted.id();
        let error = aborted.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!(error.id(), id);
        assert_eq!(error.to_string(), format!("task {id} was cancelled"));
        let error = error.try_into_panic().unwrap_err();
        assert_eq!(io::Error::from(error).to_string(), "task was cancelled");

        let panicked = spawn(async { std::panic::panic_any(5_u8) });
        let id = panicked.id();
        let error = panicked.await.unwrap_err();
        assert_eq!(error.to_string(), format!("task {id} panicked"));
        assert!(format!("{error:?}").starts_with("JoinError::Panic(Id("));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Other);
    });
}

/// Regression: cloning a foreign waker ran a turn that finished the task, before the
/// waker was registered. The handle then waited for ever.
#[test]
fn a_waker_that_runs_a_turn_while_it_is_cloned_misses_no_output() {
    let runtime = Rc::new(Runtime::new().unwrap());
    let mut handle = runtime.spawn(async { 9 });
    let waker = calling(move |call| {
        if call == Call::Clone {
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
    });
    assert!(matches!(poll_once(&mut handle, &waker), Poll::Ready(Ok(9))));
}

/// Regression: dropping a foreign waker ran a turn that finished the task. The handle
/// that was being dropped had already checked for an output, but still counted as a
/// handle, so the output was never dropped.
#[test]
fn a_waker_that_runs_a_turn_while_it_is_dropped_leaves_no_output() {
    let runtime = Rc::new(Runtime::new().unwrap());
    let output = Rc::new(());
    let same = Rc::clone(&output);
    let mut handle = runtime.spawn(async { same });
    let turned = Rc::clone(&runtime);
    let waker = calling(move |call| {
        if call == Call::Drop {
            turned.turn(Some(Duration::ZERO)).unwrap();
        }
    });
    assert!(poll_once(&mut handle, &waker).is_pending());
    drop(handle);
    assert_eq!(runtime.metrics().alive_tasks(), 0, "the waker ran a turn");
    assert_eq!(Rc::strong_count(&output), 1);
}

#[test]
fn a_waker_may_drop_the_handle_that_wakes_it() {
    let runtime = Runtime::new().unwrap();
    let slot: Rc<RefCell<Option<JoinHandle<String>>>> = Rc::default();
    let own = Rc::clone(&slot);
    let waker = calling(move |call| {
        if call == Call::Wake {
            drop(own.take());
        }
    });
    let mut handle = runtime.spawn(async { String::from("unwanted") });
    assert!(poll_once(&mut handle, &waker).is_pending());
    *slot.borrow_mut() = Some(handle);
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(slot.borrow().is_none());
}

#[test]
fn a_waker_may_take_the_output_while_it_is_woken() {
    let runtime = Runtime::new().unwrap();
    let slot: Rc<RefCell<Option<JoinHandle<String>>>> = Rc::default();
    let output = Rc::new(RefCell::new(String::new()));
    let (own, seen) = (Rc::clone(&slot), Rc::clone(&output));
    let waker = calling(move |call| {
        if call == Call::Wake
            && let Some(mut handle) = own.take()
            && let Poll::Ready(result) = poll_once(&mut handle, Waker::noop())
        {
            *seen.borrow_mut() = result.unwrap();
        }
    });
    let mut handle = runtime.spawn(async { String::from("taken") });
    assert!(poll_once(&mut handle, &waker).is_pending());
    *slot.borrow_mut() = Some(handle);
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(*output.borrow(), "taken");
}
