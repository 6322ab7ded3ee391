//! Runs cleanups: in the task that dropped their guards, or in a task of their own.

use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll};

use crate::engine::cancel::cleanup;
use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::node_guard::EnteredNode;
use crate::engine::cancel::queue::{BoxedCleanup, CleanupQueue, Queued};
use crate::engine::cancel::site::{self, EnteredSite};
use crate::engine::core::context;
use crate::engine::nesting;
use crate::engine::panics::{self, Payload};
use crate::engine::task::running;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::spawn_options::SpawnOptions;

/// The maximum number of cleanups that run before other tasks run.
const MAX_PER_POLL: u32 = 32;

/// Runs the cleanups in `queue`. Ready when none is left. Does not panic.
pub(super) fn poll_queue(queue: &CleanupQueue, cx: &mut Context<'_>) -> Poll<()> {
    let node = queue.node.get_or_init(CancelNode::new);
    let _entered = EnteredNode::enter(node);
    for _ in 0..MAX_PER_POLL {
        let Some(mut next) = queue.take_next() else {
            if queue.call_next() {
                continue;
            }
            return Poll::Ready(());
        };
        match poll_one(queue, &mut next, cx) {
            Poll::Pending => {
                *queue.running.borrow_mut() = Some(next);
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(panic)) => next.cleanup.report_panic(panic),
        }
        let generation = next.generation;
        panics::caught(|| drop(next));
        queue.count_finished(generation);
    }
    if !queue.is_empty() {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Polls the cleanup that was taken from `queue`, at the site where its guard was dropped.
fn poll_one(
    queue: &CleanupQueue,
    next: &mut Queued,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Payload>> {
    let _site = next
        .counted
        .as_ref()
        .map(|counted| EnteredSite::enter(counted.site().clone()));
    queue.polled.set(Some(next.generation));
    let polled = next.cleanup.as_mut().poll(cx);
    queue.polled.set(None);
    polled
}

/// Calls `call` when the running task, which is about to end, has no cleanup left.
pub(crate) fn after_cleanups(call: impl FnOnce() + 'static) {
    let state = running::with_running(|tasks| {
        tasks
            .current_has_cleanups()
            .then(|| tasks.current_cleanup_state())
    });
    match state.flatten().flatten() {
        Some(state) => state.queue.callbacks.borrow_mut().push_back(Box::new(call)),
        None => call(),
    }
}

/// Returns whether the running code is a cleanup in the queue of its task.
pub(super) fn runs_cleanup() -> bool {
    let state = running::with_running(Scheduler::current_cleanup_state);
    state.flatten().is_some_and(|state| state.queue.is_polled())
}

/// Makes the running task run `future` as a cleanup, on behalf of a value that was created
/// at `created_at` and is being dropped.
pub(crate) fn after_drop(
    created_at: &'static Location<'static>,
    future: impl Future<Output = ()> + 'static,
) {
    hand_over(cleanup::boxed(future, created_at));
}

/// Adds a cleanup to the queue of the running task. Outside tasks, spawns a task for it.
#[inline]
pub(crate) fn hand_over(cleanup: BoxedCleanup) {
    let state = running::with_running(Scheduler::state_for_cleanup);
    match state.flatten() {
        Some(state) => state.queue.push(cleanup, site::count_here()),
        None => run_alone(cleanup),
    }
}

/// Spawns a task that runs a cleanup. If there is no loop, the cleanup is dropped, which
/// reports it.
#[cold]
fn run_alone(cleanup: BoxedCleanup) {
    let mut cleanup = Some(cleanup);
    let location = Location::caller();
    context::spawn_on_current(|tasks| {
        if let Some(mut cleanup) = cleanup.take() {
            let future = poll_fn(move |cx| match cleanup.as_mut().poll(cx) {
                Poll::Ready(Err(panic)) => {
                    cleanup.report_panic(panic);
                    Poll::Ready(())
                }
                polled => polled.map(|_| ()),
            });
            drop(tasks.spawn(future, SpawnOptions::at(location)));
        }
    });
    if let Some(cleanup) = cleanup {
        nesting::drop_nested(cleanup);
    }
}
