//! Destructors that call back into the loop that runs them.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::pipe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::io::Async;
use coreloop::task::{self, AbortHandle, JoinHandle, yield_now};
use coreloop::time::sleep;
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::wakers::{Call, calling};

/// The output of a misused task, which misuses the task when it is dropped, too.
type Output = OnDrop<Box<dyn FnOnce()>>;

/// All references of a task to itself, which its destructors misuse.
#[derive(Default)]
struct Own {
    handle: RefCell<Option<JoinHandle<Output>>>,
    abort: RefCell<Option<AbortHandle>>,
    waker: RefCell<Option<Waker>>,
    destructors: Cell<u32>,
}

impl Own {
    /// Does everything that a destructor can do to its own task.
    fn misuse(&self) {
        self.destructors.set(self.destructors.get() + 1);
        if let Some(abort) = self.abort.borrow().as_ref() {
            abort.abort();
            abort.clone().abort();
        }
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
            let again = waker.clone();
            again.wake();
        }
        if let Some(mut handle) = self.handle.take() {
            handle.abort();
            let _ = Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop()));
            drop(handle);
        }
        drop(spawn(async { yield_now().await }));
        drop(self.abort.take());
        drop(self.waker.take());
    }
}

/// Spawns a task whose future and whose output misuse it when they are dropped.
fn spawn_misusing(waits: bool) -> Rc<Own> {
    let own = Rc::new(Own::default());
    let (inner, future, output) = (Rc::clone(&own), Rc::clone(&own), Rc::clone(&own));
    let guard = OnDrop::new(move || future.misuse());
    let mut output = Some(OnDrop::new(
        Box::new(move || output.misuse()) as Box<dyn FnOnce()>
    ));
    let handle = spawn(poll_fn(move |context| {
        let _ = &guard;
        *inner.waker.borrow_mut() = Some(context.waker().clone());
        match output.take_if(|_| !waits) {
            Some(output) => Poll::Ready(output),
            None => Poll::Pending,
        }
    }));
    *own.abort.borrow_mut() = Some(handle.abort_handle());
    *own.handle.borrow_mut() = Some(handle);
    own
}

#[test]
fn a_future_misuses_its_task_when_that_ends() {
    block_on(async {
        let own = spawn_misusing(false);
        yield_until(|| own.destructors.get() >= 2).await;
        assert!(own.handle.borrow().is_none());
    });
}

#[test]
fn a_future_misuses_its_task_when_aborted() {
    block_on(async {
        let own = spawn_misusing(true);
        yield_now().await;
        let abort = own.abort.borrow().clone();
        abort.unwrap().abort();
        // The future has not returned its output yet, and both are dropped together.
        yield_until(|| own.destructors.get() >= 2).await;
    });
}

#[test]
fn a_future_misuses_its_task_when_the_runtime_ends() {
    for waits in [false, true] {
        for turns in 0..2 {
            let runtime = Runtime::new().unwrap();
            let guard = runtime.enter();
            let own = spawn_misusing(waits);
            drop(guard);
            for _ in 0..turns {
                runtime.block_on(async { yield_now().await });
            }
            drop(runtime);
            assert_eq!(own.destructors.get(), 2);
        }
    }
}

#[test]
fn an_output_misuses_its_task_when_the_handle_is_dropped() {
    block_on(async {
        let own: Rc<Own> = Rc::default();
        let inner = Rc::clone(&own);
        let handle = spawn(async move { OnDrop::new(move || inner.misuse()) });
        *own.abort.borrow_mut() = Some(handle.abort_handle());
        yield_now().await;
        drop(handle);
        assert_eq!(own.destructors.get(), 1);
    });
}

#[test]
fn a_destructor_spawns_on_the_loop_and_the_task_runs() {
    block_on(async {
        let ran = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ran);
        let handle = spawn(async move {
            let _guard = OnDrop::new(move || drop(spawn(async move { flag.set(true) })));
            pending::<()>().await;
        });
        yield_now().await;
        handle.abort();
        yield_now().await;
        yield_now().await;
        assert!(ran.get());
    });
}

/// A task that is spawned while its runtime ends is cancelled before it runs, and its
/// destructor may spawn another such task.
#[test]
fn spawns_at_the_end_of_the_runtime_are_cancelled() {
    fn spawn_again(left: u32, ends: &Rc<Cell<u32>>) {
        let ends = Rc::clone(ends);
        let guard = OnDrop::new(move || {
            ends.set(ends.get() + 1);
            assert!(
                task::try_id().is_some(),
                "the future is dropped inside its task"
            );
            if left > 0 {
                spawn_again(left - 1, &ends);
            }
        });
        let handle = spawn(async move {
            let _guard = guard;
            unreachable!("the runtime ends first");
        });
        if task::try_id().is_some() {
            assert!(handle.is_finished());
        }
    }

    let ends = Rc::new(Cell::new(0));
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    spawn_again(3, &ends);
    drop(guard);
    drop(runtime);
    assert_eq!(ends.get(), 4);
}

/// Regression: the loop had ended when a waker spawned a task whose future wakes the task
/// when it is dropped. The task then stayed in a queue that was never run.
#[test]
fn a_task_spawned_on_a_closing_loop_leaves_nothing_behind() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (reader, _writer) = pipe().unwrap();
    let reader = Async::new(reader).unwrap();
    drop(guard);
    let own = Rc::new(Own::default());
    let kept = Rc::clone(&own);
    let waker = calling(move |call| {
        if call == Call::Wake {
            let own = Rc::clone(&kept);
            let guard = OnDrop::new(move || own.misuse());
            let handle = spawn(async move {
                let _guard = guard;
            });
            *kept.abort.borrow_mut() = Some(handle.abort_handle());
        }
    });
    assert!(
        reader
            .poll_readable(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(runtime);
    assert_eq!(own.destructors.get(), 1);
}

#[test]
fn tasks_in_a_chain_of_join_handles_abort_each_other() {
    block_on(async {
        // Each task holds the handle of the next and aborts it, so that all end together.
        let ends = Rc::new(Cell::new(0));
        let mut next: Option<JoinHandle<()>> = None;
        for _ in 0..50 {
            let (held, count) = (next.take(), Rc::clone(&ends));
            next = Some(spawn(async move {
                let _guard = OnDrop::new(move || count.set(count.get() + 1));
                if let Some(held) = held {
                    let abort = held.abort_handle();
                    let _abort = OnDrop::new(move || abort.abort());
                    let _ = held.await;
                }
                pending::<()>().await;
            }));
        }
        yield_now().await;
        next.unwrap().abort();
        yield_until(|| ends.get() >= 50).await;
    });
}

#[test]
fn two_tasks_hold_each_others_handles() {
    let runtime = Runtime::new().unwrap();
    let ends = Rc::new(Cell::new(0));
    let slots: [Rc<RefCell<Option<JoinHandle<()>>>>; 2] = Default::default();
    for n in 0..2 {
        let (own, other) = (Rc::clone(&slots[n]), Rc::clone(&slots[1 - n]));
        let count = Rc::clone(&ends);
        let handle = runtime.spawn(async move {
            let other = other.take().unwrap();
            let _guard = OnDrop::new(move || {
                other.abort();
                count.set(count.get() + 1);
            });
            pending::<()>().await;
        });
        *own.borrow_mut() = Some(handle);
    }
    runtime.block_on(async { yield_now().await });
    drop(runtime);
    assert_eq!(ends.get(), 2);
}

/// Timers and descriptors of one task are dropped by another's destructor.
#[test]
fn destructors_drop_timers_and_sockets_of_others() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let shared: Rc<RefCell<Vec<Box<dyn std::any::Any>>>> = Rc::default();
        for _ in 0..10 {
            let mut timer = sleep(Duration::from_secs(3600));
            let _ = Pin::new(&mut timer).poll(&mut Context::from_waker(Waker::noop()));
            let (reader, writer) = pipe().unwrap();
            let reader = Async::new(reader).unwrap();
            let _ = reader.poll_readable(&mut Context::from_waker(Waker::noop()));
            shared.borrow_mut().push(Box::new((timer, reader, writer)));
        }
        let handle = spawn(async move {
            let _guard = OnDrop::new(move || drop(shared.take()));
            pending::<()>().await;
        });
        yield_now().await;
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
    });
}

/// The tasks of one runtime end inside a task of another.
#[test]
fn a_runtime_ends_inside_a_task_of_another() {
    block_on(async {
        let here: Rc<Cell<Option<Waker>>> = Rc::default();
        let woken = Rc::clone(&here);
        let inner = Runtime::new().unwrap();
        let order = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&order);
        let outer_id = task::id();
        let guard = OnDrop::new(move || {
            assert_ne!(task::id(), outer_id);
            log.borrow_mut().push("inner");
            // Wakes a task of the other loop, which is on this thread.
            if let Some(waker) = woken.take() {
                waker.wake();
            }
            assert!(
                spawn(async {}).is_finished(),
                "the task belongs to the inner loop"
            );
        });
        drop(inner.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        let sibling = spawn({
            let here = Rc::clone(&here);
            let mut first = true;
            poll_fn(move |context| {
                if std::mem::take(&mut first) {
                    here.set(Some(context.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready("woken")
            })
        });
        yield_now().await;
        drop(inner);
        assert_eq!(*order.borrow(), ["inner"]);
        assert_eq!(task::id(), outer_id);
        assert_eq!(sibling.await.unwrap(), "woken");
        assert_eq!(spawn(async { "outer" }).await.unwrap(), "outer");
    });
}
