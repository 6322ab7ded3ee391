//! The budget: the number of operations that a task may complete in one poll.
//!
//! Each operation on a socket, a channel or a timer spends one unit, whether it
//! succeeds or fails. When no unit is left, the next operation wakes its task and
//! returns `Pending`, so that a task that never has to wait still yields. As in tokio,
//! a task has 128 units for each poll. Outside a runtime nothing is counted.
//!
//! A future inside a combinator, such as futures-rs's `FuturesUnordered`, may have a
//! waker of its own. That waker is woken after the poll of the task. So futures that
//! wait for budget side by side take turns, however many they are.
//!
//! # What a refused operation has done
//!
//! An operation that finds no budget wakes its task, and need not have done anything
//! else. It was not tried, and it may not be registered: a socket, a join handle or the
//! receiver of a channel that was polled without budget need not have stored a waker,
//! and a [`Sleep`](crate::time::Sleep) has not set its timer. So not every pending
//! future is woken when its event arrives. Poll it when the task is next woken, as
//! `.await` does, or drop it.
//!
//! Where the order of requests matters, as it does for the locks, semaphores and
//! senders of `coreloop::sync`, a request joins the queue with or without budget; only
//! its result is withheld until the next poll.
//!
//! A future of your own that calls [`poll_proceed`] first is refused before it has
//! stored its waker. If it has a queue whose order matters, let it join the queue
//! first.
//!
//! # Cancelled code
//!
//! Code that was [cancelled](crate::cleanup) and waits to be dropped is frozen: its
//! operations return `Pending`, and do not wake its task.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::engine::task::budget;

pub use crate::engine::task::budget::poll_proceed;

/// Returns whether the task has any budget left.
///
/// Always true outside a runtime.
#[must_use]
pub fn has_budget_remaining() -> bool {
    budget::has_left()
}

/// Spends one unit of the task's budget, and yields to other tasks if none is left.
///
/// Use it in a loop that computes for long and awaits nothing else.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// let mut sum = 0_u64;
/// for n in 0..10_000 {
///     sum += n;
///     coreloop::task::consume_budget().await;
/// }
/// assert_eq!(sum, 49_995_000);
/// # })
/// ```
pub async fn consume_budget() {
    std::future::poll_fn(poll_proceed).await;
}

/// Runs `future` without a budget, so that its operations are never refused.
///
/// Such a future can starve every other task and socket of the loop.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// use coreloop::task;
/// task::unconstrained(async {
///     for _ in 0..1000 {
///         task::consume_budget().await;
///         assert!(task::coop::has_budget_remaining());
///     }
/// })
/// .await;
/// # })
/// ```
pub fn unconstrained<F>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

pin_project! {
    /// The future of [`unconstrained`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Unconstrained<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        budget::unconstrained(|| self.project().future.poll(cx))
    }
}
