//! [`CancellationToken`]: requests that tasks stop, and the tasks below them.

mod guard;
mod tree_node;
mod wait;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tree_node::TreeNode;

pub use guard::{DropGuard, DropGuardRef};
pub use wait::{WaitForCancellationFuture, WaitForCancellationFutureOwned};

/// A token that requests any number of tasks to stop, like the token of `tokio-util`,
/// but for one thread.
///
/// Clones are the same token. A [child](Self::child_token) is cancelled with
/// its parent, and can be cancelled alone. A token stays cancelled.
///
/// A task checks the token itself, with [`cancelled`](Self::cancelled) or
/// [`is_cancelled`](Self::is_cancelled). So it can finish its current work, unlike a
/// task that is aborted.
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
    node: Rc<TreeNode>,
}

impl CancellationToken {
    /// Creates a token that is not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self {
            node: TreeNode::new(),
        }
    }

    /// Creates a token that is cancelled with this token. It is cancelled from the start
    /// if this token is.
    #[must_use]
    pub fn child_token(&self) -> Self {
        Self {
            node: TreeNode::child(&self.node),
        }
    }

    /// Cancels this token and its descendants, and wakes the tasks that wait for them.
    ///
    /// All of these tokens are cancelled before the first task is woken.
    pub fn cancel(&self) {
        self.node.cancel();
    }

    /// Returns whether the token is cancelled.
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

    /// Returns a guard that cancels the token when it is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard::new(self)
    }

    /// Returns a guard that borrows the token, and cancels it when it is dropped.
    pub fn drop_guard_ref(&self) -> DropGuardRef<'_> {
        DropGuardRef::new(self)
    }

    /// Runs a future until it completes or the token is cancelled.
    ///
    /// If the token is cancelled first, drops the future and returns `None`. If both happen in
    /// one poll, the output of the future is returned. If the token is cancelled before the
    /// first poll, the future is not polled at all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `future` is cancel safe.
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

    /// Runs a future until it completes or the token is cancelled, and borrows nothing.
    /// See [`run_until_cancelled`](Self::run_until_cancelled).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost, if `future` is cancel safe.
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
    /// Returns whether the two tokens are clones of each other.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for CancellationToken {}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
