//! [`shield`]: what goes on while all around it is cancelled.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::branch::{Branch, Engaged};
use crate::task::coop::poll_thawed;

/// Lets `future` go on to its end when what it is in is cancelled.
///
/// The cancellation takes effect after it: the code that awaits the shield does
/// not go on. One that was not polled before the cancellation never begins. A
/// shield that is dropped, by `select!` for instance, stops as any future does.
///
/// As long as the shielded future lasts the task does too, with no limit but its
/// own: see [`timeout`](crate::time::timeout).
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Examples
///
/// ```
/// use coreloop_runtime::cleanup::shield;
/// use coreloop_runtime::task::yield_now;
/// use std::{cell::Cell, rc::Rc};
///
/// # coreloop_runtime::block_on(async {
/// let steps = Rc::new(Cell::new(0));
/// let task = coreloop_runtime::spawn({
///     let steps = Rc::clone(&steps);
///     async move {
///         shield(async {
///             steps.set(1);
///             yield_now().await;
///             steps.set(2);
///         })
///         .await;
///         steps.set(3);
///     }
/// });
/// yield_now().await;
/// assert!(task.cancel().await.unwrap_err().is_cancelled());
/// assert_eq!(steps.get(), 2);
/// # })
/// ```
pub fn shield<F: IntoFuture>(future: F) -> Shield<F::IntoFuture> {
    Shield {
        future: future.into_future(),
        engaged: None,
        branch: Branch::shield(),
        is_over: false,
    }
}

pin_project! {
    /// The future of [`shield`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Shield<F> {
        #[pin]
        future: F,
        // From the first poll to the end.
        engaged: Option<Engaged>,
        branch: Branch,
        is_over: bool,
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if *this.is_over {
            // Only if what was around it is cancelled.
            return Poll::Pending;
        }
        if this.engaged.is_none() {
            ready!(poll_thawed());
            *this.engaged = Some(this.branch.engage());
        }
        let future = this.future;
        let output = ready!(this.branch.poll(context, |context| future.poll(context)));
        *this.is_over = true;
        *this.engaged = None;
        if this.branch.node().is_outer_cancelled() {
            return Poll::Pending;
        }
        Poll::Ready(output)
    }
}
