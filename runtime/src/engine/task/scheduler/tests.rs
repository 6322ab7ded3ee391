//! What remains of a root that is ended before it is ready, as happens when polling the
//! kernel fails. The tests leave `run_root` as `EventLoop::block_on` does in that case.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::cleanup::{defer, flush};
use crate::engine::core::context;
use crate::engine::task::scheduler::Scheduler;
use crate::runtime::Runtime;
use crate::runtime::builder::Builder;
use crate::scope::cancel_scope;
use crate::task::yield_now;

/// A runtime that does not print the cleanups that the tests abandon.
fn runtime() -> Runtime {
    let builder = Builder::new().on_cleanup_failure(|failure| assert!(failure.is_abandoned()));
    builder.build().unwrap()
}

/// A waker whose destructor panics.
fn fragile_waker() -> Waker {
    struct Fragile;

    impl Wake for Fragile {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("the waker panics when it is dropped");
        }
    }

    Waker::from(Arc::new(Fragile))
}

/// Polls `future` once with `waker`, and drops `waker`. The future may keep a clone of it.
fn poll_with(waker: Waker, future: Pin<&mut impl Future>) {
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
    let _ = catch_unwind(AssertUnwindSafe(|| drop(waker)));
}

/// Runs `root` and all tasks until none is ready, and then ends the root, which must still be
/// pending.
fn run_refused(runtime: &Runtime, root: impl Future<Output = ()>) {
    context::run(runtime.event_loop(), false, |event_loop| {
        let tasks: &Scheduler = &event_loop.tasks;
        let refused = tasks.run_root(root, Location::caller(), |_| while !tasks.run_ready(100) {});
        assert!(refused.unwrap_err().is_cancelled());
    });
}

/// A root whose cleanup queue keeps a clone of a waker that panics when it is dropped.
async fn leave_a_fragile_waker_in_the_queue() {
    drop(defer(pending()));
    poll_with(fragile_waker(), pin!(flush()));
    pending::<()>().await;
}

const WORD: usize = 0x4141_4141_4141_4140;

/// The future of a task that has a `CleanupState`, and is ready at its second poll. If the
/// output were dropped as if it were the future, its words would be freed as boxes.
#[derive(Default)]
struct Victim {
    boxes: [Option<Box<u8>>; 8],
    waker: Rc<Cell<Option<Waker>>>,
    is_polled: bool,
}

impl Future for Victim {
    type Output = [usize; 8];

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<[usize; 8]> {
        if self.is_polled {
            assert!(self.boxes.iter().all(Option::is_none));
            return Poll::Ready([WORD; 8]);
        }
        self.is_polled = true;
        assert!(pin!(cancel_scope(async |_| ())).poll(cx).is_ready());
        self.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

#[test]
fn a_waker_left_by_a_root_does_not_end_a_task_twice() {
    let runtime = runtime();
    let waker = Rc::default();
    let victim = runtime.spawn(Victim {
        waker: Rc::clone(&waker),
        ..Victim::default()
    });
    run_refused(&runtime, leave_a_fragile_waker_in_the_queue());
    waker.take().unwrap().wake();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(victim.is_finished());
    assert_eq!(runtime.block_on(victim).unwrap(), [WORD; 8]);
}

#[test]
fn a_panic_of_a_waker_left_by_a_root_does_not_leave_the_runtimes_drop() {
    let runtime = runtime();
    run_refused(&runtime, leave_a_fragile_waker_in_the_queue());
    drop(runtime);
}

#[test]
fn the_cleanup_queue_of_an_ended_root_is_not_used_again() {
    let runtime = runtime();
    for cleanups_left in 1..4 {
        run_refused(&runtime, async move {
            for _ in 0..cleanups_left {
                drop(defer(pending()));
            }
            pending::<()>().await;
        });
        let waits = runtime.spawn(async {
            cancel_scope(async |_| flush().await).await.unwrap();
            drop(defer(yield_now()));
            flush().await;
        });
        let mut turns = 0;
        while !waits.is_finished() {
            turns += 1;
            assert!(
                turns < 100,
                "the task waits for the cleanups of another task"
            );
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// A future that one task polls first, and another task later.
type Moved = Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn a_flush_that_moved_to_another_task_ends_when_its_first_task_is_ended() {
    let runtime = runtime();
    let moved: Rc<Cell<Option<Moved>>> = Rc::default();
    let to = Rc::clone(&moved);
    let other = Rc::clone(&moved);
    let waits = runtime.spawn(async move {
        loop {
            if let Some(waiting) = other.take() {
                return waiting.await;
            }
            yield_now().await;
        }
    });
    run_refused(&runtime, async move {
        drop(defer(pending()));
        let mut waiting: Moved = Box::pin(flush());
        assert!(
            poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx)))
                .await
                .is_pending()
        );
        to.set(Some(waiting));
        pending::<()>().await;
    });
    assert_eq!(runtime.block_on(waits).ok(), Some(()));
}
