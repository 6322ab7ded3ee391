//! The poll that runs, for the other crates of coreloop: a lock that has several futures
//! of one task in its queue has to know which of them the task still polls.

use std::task::Waker;

use crate::engine::core::context;
use crate::engine::task::waker;

/// Returns the number of the current poll, if the caller is in a task.
///
/// Later polls of the same task have higher numbers, and none has the number 0.
#[doc(hidden)]
#[must_use]
pub fn poll_number() -> Option<u64> {
    context::with_running(|event_loop| event_loop.tasks.polls())
}

/// Returns whether `waker` wakes a task of coreloop, and was not created by a combinator for
/// one of its futures.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn is_of_task(waker: &Waker) -> bool {
    waker::recognise(waker).is_some()
}

/// Returns whether an operation that finds no budget may join a queue.
///
/// It may not if it belongs to cancelled code that only waits to be dropped: in the queue
/// it would hold up the cleanups that run before that.
#[doc(hidden)]
#[must_use]
pub fn may_queue() -> bool {
    context::with_running(|event_loop| event_loop.tasks.budget.is_frozen()) != Some(true)
}
