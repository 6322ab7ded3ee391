//! Wakers that call back into the scopes and groups that clone, wake or drop
//! them.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use coreloop::cleanup::{defer, flush};
use coreloop::scope::{MemberError, Started, TaskGroup, as_completed, scope};
use coreloop::task::yield_now;
use coreloop::{block_on, spawn};

use coreloop_test_support::wakers::{Call, calling};

/// Regression: a scope with many children cloned its waker, which is user code, while it
/// held a lock that each wake of a child takes. A clone that woke a child so waited for
/// itself.
#[test]
#[cfg_attr(miri, ignore = "fifty children, in safe code")]
fn a_waker_may_wake_children_while_a_scope_clones_it() {
    let left: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let wakes = || {
        let left = Rc::clone(&left);
        // Wakes another child each time, because a second wake of the same child does
        // nothing.
        calling(move |call| {
            let next = left.borrow_mut().pop();
            if let (Call::Clone, Some(waker)) = (call, next) {
                waker.wake();
            }
        })
    };
    let polls = Cell::new(0);
    let mut children = pin!(scope(async |scope| {
        for _ in 0..50 {
            drop(scope.spawn(poll_fn(|context| {
                polls.set(polls.get() + 1);
                let waker = context.waker().clone();
                left.borrow_mut().push(waker);
                Poll::<()>::Pending
            })));
        }
    }));
    for pass in 0..8 {
        if pass == 1 {
            // From the second poll on, each child has a waker of its own.
            left.take();
        }
        let waker = wakes();
        let context = &mut Context::from_waker(&waker);
        assert!(children.as_mut().poll(context).is_pending());
    }
    assert!(polls.get() > 100, "{} polls", polls.get());
}

#[derive(Default)]
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

/// Regression: `start` cloned the waker after it had checked for the value, and did not
/// check again.
#[test]
fn a_waker_may_complete_the_start_that_clones_it() {
    block_on(async {
        let slot: Rc<RefCell<Option<Started<u32>>>> = Rc::default();
        let theirs = Rc::clone(&slot);
        let mut group = TaskGroup::<()>::new();
        let mut start = Box::pin(async move {
            group
                .start(async move |started| {
                    theirs.replace(Some(started));
                    Ok(())
                })
                .await
        });
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(start.as_mut().poll(noop).is_pending());
        yield_now().await;
        assert!(slot.borrow().is_some());
        let woken = Rc::new(Cell::new(false));
        let waker = {
            let (slot, woken) = (Rc::clone(&slot), Rc::clone(&woken));
            calling(move |call| match call {
                Call::Clone => {
                    if let Some(started) = slot.take() {
                        started.set(7);
                    }
                }
                Call::Wake => woken.set(true),
                Call::Drop => {}
            })
        };
        let polled = start.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(slot.borrow().is_none());
        match polled {
            Poll::Ready(value) => assert_eq!(value, Ok(7)),
            Poll::Pending => {
                assert!(woken.get(), "the task is woken to poll again");
                assert_eq!(start.await, Ok(7));
            }
        }
    });
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        // Without data, because a payload that panics when it is dropped leaks its data.
        std::panic::panic_any(());
    }
}

/// Regression: the second of two panics in one pass was dropped during the pass, and if
/// its destructor panicked, the remaining children were never polled.
#[test]
fn a_payload_that_panics_when_dropped_loses_no_other_output() {
    block_on(async {
        let mut outputs = as_completed((0..3).map(async |number| {
            match number {
                0 => panic!("first"),
                1 => std::panic::panic_any(PanicsWhenDropped),
                _ => yield_now().await,
            }
            number
        }));
        let first = poll_fn(|context| {
            let next = catch_unwind(AssertUnwindSafe(|| outputs.poll_next(context)));
            Poll::Ready(next.map(drop))
        });
        let panic = first.await.unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"first"));
        assert_eq!(outputs.next().await, Some(2));
        assert_eq!(outputs.next().await, None);
    });
}

/// Regression: each poll registered the waker once more, until the cleanup ended.
#[test]
#[cfg_attr(
    miri,
    ignore = "under Miri, clones of a waker may not compare as equal"
)]
fn flush_registers_a_waker_once() {
    block_on(async {
        drop(defer(yield_now()));
        let counted = Arc::new(Counted);
        let waker = Waker::from(Arc::clone(&counted));
        let context = &mut Context::from_waker(&waker);
        let mut flushing = pin!(flush());
        for _ in 0..100 {
            assert!(flushing.as_mut().poll(context).is_pending());
        }
        assert!(Arc::strong_count(&counted) <= 3);
        yield_now().await;
        yield_now().await;
        assert!(flushing.as_mut().poll(context).is_ready());
        drop(waker);
        assert_eq!(Arc::strong_count(&counted), 1);
    });
}

/// Regression: `flush` mistook the number of a cleanup in one task's queue for a number
/// in another's, and waited for ever.
#[test]
fn a_flush_that_moves_waits_for_the_queue_that_it_began_with() {
    block_on(async {
        let done = Rc::new(Cell::new(0));
        let go = Rc::new(Cell::new(false));
        let sent = Rc::new(Cell::new(None));
        let begins = spawn({
            let (sent, done, go) = (Rc::clone(&sent), Rc::clone(&done), Rc::clone(&go));
            async move {
                for _ in 0..3 {
                    let (done, go) = (Rc::clone(&done), Rc::clone(&go));
                    drop(defer(async move {
                        while !go.get() {
                            yield_now().await;
                        }
                        done.set(done.get() + 1);
                    }));
                }
                let mut flushing = Box::pin(flush());
                poll_fn(|context| Poll::Ready(flushing.as_mut().poll(context).is_pending())).await;
                sent.set(Some(flushing));
                pending::<()>().await;
            }
        });
        yield_now().await;
        let seen = Rc::clone(&done);
        let flushing = sent.take().unwrap();
        let goes_on = spawn(async move {
            drop(defer(async {}));
            flushing.await;
            seen.get()
        });
        for _ in 0..4 {
            yield_now().await;
        }
        assert!(!goes_on.is_finished());
        go.set(true);
        assert_eq!(goes_on.await.unwrap(), 3);
        begins.abort_and_wait().await.unwrap_err();
    });
}

/// The member ends while the waker of the code that joins it is cloned.
#[test]
fn a_member_may_end_while_the_waker_of_its_handle_is_cloned() {
    block_on(async {
        let mut group = TaskGroup::<()>::new();
        let go = Rc::new(Cell::new(false));
        let theirs = Rc::clone(&go);
        let mut member = group.spawn(async move {
            while !theirs.get() {
                yield_now().await;
            }
            Ok(1)
        });
        let waker = calling({
            let go = Rc::clone(&go);
            move |_| go.set(true)
        });
        let polled = std::pin::Pin::new(&mut member).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        assert_eq!(member.await, Ok::<_, MemberError<()>>(1));
        group.join().await.unwrap();
    });
}
