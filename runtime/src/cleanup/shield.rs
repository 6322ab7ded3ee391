//! [`shield`]: a future that continues while the code around it is cancelled.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::engine::cancel::node_guard::{NodeGuard, PendingCleanup};
use crate::engine::task::budget::poll_thawed;

/// Lets `future` run to its end even if the code around it is cancelled.
///
/// The cancellation takes effect after that: the code that awaits the shield makes no
/// progress. A shield that was not polled before the cancellation never starts. A
/// shield that is dropped, by `select!` for instance, stops like any future.
///
/// While the shielded future runs, its task cannot end. The shield sets no time limit:
/// use [`timeout`](crate::time::timeout) to set one.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::shield;
/// use coreloop::task::yield_now;
/// use std::{cell::Cell, rc::Rc};
///
/// # coreloop::block_on(async {
/// let steps = Rc::new(Cell::new(0));
/// let task = coreloop::spawn({
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
/// assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
/// assert_eq!(steps.get(), 2);
/// # })
/// ```
pub fn shield<F: IntoFuture>(future: F) -> Shield<F::IntoFuture> {
    Shield {
        future: Some(future.into_future()),
        output: None,
        pending: None,
        node_guard: NodeGuard::shield(),
        is_over: false,
    }
}

pin_project! {
    /// The future of [`shield`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Shield<F: Future> {
        #[pin]
        future: Option<F>,
        // Present while the cleanups of the guards that the future has dropped run.
        output: Option<F::Output>,
        // Present from the first poll to the end.
        pending: Option<PendingCleanup>,
        node_guard: NodeGuard,
        is_over: bool,
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if *this.is_over {
            // Polled again only if the code around it is cancelled.
            return Poll::Pending;
        }
        if this.pending.is_none() {
            ready!(poll_thawed());
            *this.pending = Some(this.node_guard.add_pending());
        }
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            let output = ready!(this.node_guard.poll(cx, |cx| future.poll(cx)));
            *this.output = Some(output);
            this.node_guard.drop_inside(|| this.future.set(None));
        }
        ready!(this.node_guard.poll_empty(cx));
        *this.is_over = true;
        *this.pending = None;
        match this.output.take() {
            Some(output) if !this.node_guard.node().is_outer_cancelled() => Poll::Ready(output),
            _ => Poll::Pending,
        }
    }
}

impl<F: Future> fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield")
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
