//! [`CancellationToken`]: tells tasks to stop, and those below them.

mod guard;
mod node;
mod wait;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use node::Node;

pub use guard::{DropGuard, DropGuardRef};
pub use wait::{WaitForCancellationFuture, WaitForCancellationFutureOwned};

/// Tells any number of tasks to stop: that of `tokio-util`, for one thread.
///
/// Clones are the same token. A [child](Self::child_token) is cancelled with
/// its parent, and can be cancelled alone. Being cancelled is for good.
///
/// A task sees it when it looks: with [`cancelled`](Self::cancelled) or
/// [`is_cancelled`](Self::is_cancelled) it can finish what it is at, unlike
/// one that is aborted.
///
/// # Examples
///
/// ```
/// use coreloop::sync::CancellationToken;
///
/// coreloop::block_on(async {
///     let token = CancellationToken::new();
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let token = token.child_token();
///             coreloop::spawn(async move {
///                 token.cancelled().await;
///                 "stopped"
///             })
///         })
///         .collect();
///     token.cancel();
///     for task in tasks {
///         assert_eq!(task.await.unwrap(), "stopped");
///     }
/// });
/// ```
pub struct CancellationToken {
    node: Rc<Node>,
}

impl CancellationToken {
    /// Creates a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self { node: Node::new() }
    }

    /// Creates a token that is cancelled with this one; cancelled already, if
    /// this is.
    #[must_use]
    pub fn child_token(&self) -> CancellationToken {
        Self {
            node: Node::child(&self.node),
        }
    }

    /// Cancels this token and its descendants, and wakes who waits for them.
    ///
    /// All of them are cancelled before the first is woken.
    pub fn cancel(&self) {
        self.node.cancel();
    }

    /// Whether the token is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Waits until the token is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        WaitForCancellationFuture::new(self)
    }

    /// Waits until the token is cancelled, with a future that borrows nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub fn cancelled_owned(self) -> WaitForCancellationFutureOwned {
        WaitForCancellationFutureOwned::new(self)
    }

    /// A guard that cancels the token when it is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard::new(self)
    }

    /// A guard that cancels the token when it is dropped, and borrows it.
    pub fn drop_guard_ref(&self) -> DropGuardRef<'_> {
        DropGuardRef::new(self)
    }

    /// Runs the future until it is over, or drops it when the token is
    /// cancelled: `None` then. A future that is over at that moment wins, but
    /// one that was not started before is not polled at all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if the same is true of `future`.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::CancellationToken;
    ///
    /// coreloop::block_on(async {
    ///     let token = CancellationToken::new();
    ///     assert_eq!(token.run_until_cancelled(async { 1 }).await, Some(1));
    ///     token.cancel();
    ///     assert_eq!(token.run_until_cancelled(async { 1 }).await, None);
    /// });
    /// ```
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        if self.is_cancelled() {
            return None;
        }
        let mut future = pin!(future);
        let mut cancelled = pin!(self.cancelled());
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            cancelled.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Runs the future until it is over or the token is cancelled, and borrows
    /// nothing. See [`run_until_cancelled`](Self::run_until_cancelled).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if the same is true of `future`.
    pub async fn run_until_cancelled_owned<F: Future>(self, future: F) -> Option<F::Output> {
        self.run_until_cancelled(future).await
    }
}

impl Clone for CancellationToken {
    fn clone(&self) -> Self {
        self.node.add_handle();
        Self {
            node: Rc::clone(&self.node),
        }
    }
}

impl Drop for CancellationToken {
    fn drop(&mut self) {
        self.node.drop_handle();
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for CancellationToken {
    /// Whether they are clones of each other.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for CancellationToken {}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CancellationToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
