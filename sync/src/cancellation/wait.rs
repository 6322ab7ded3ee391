//! The futures that wait for a cancellation.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use super::CancellationToken;
use super::tree_node::TreeNode;
use crate::waiters::Key;

/// The future of [`CancellationToken::cancelled`].
///
/// It may be polled after it completed, and is then ready at once.
#[must_use = "futures do nothing unless awaited"]
pub struct WaitForCancellationFuture<'a> {
    token: &'a CancellationToken,
    key: Option<Key>,
}

/// The future of [`CancellationToken::cancelled_owned`].
///
/// It may be polled after it completed, and is then ready at once.
#[must_use = "futures do nothing unless awaited"]
pub struct WaitForCancellationFutureOwned {
    token: CancellationToken,
    key: Option<Key>,
}

impl<'a> WaitForCancellationFuture<'a> {
    pub(super) fn new(token: &'a CancellationToken) -> Self {
        Self { token, key: None }
    }
}

impl WaitForCancellationFutureOwned {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token, key: None }
    }
}

impl TreeNode {
    fn poll_cancelled(&self, key: &mut Option<Key>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        if self.is_cancelled() {
            self.stop_waiting(key);
            return Poll::Ready(());
        }
        if key.is_none() {
            *key = Some(self.waiters.enqueue());
        }
        self.waiters.poll_remove(key, cx)
    }

    fn stop_waiting(&self, key: &mut Option<Key>) {
        if let Some(key) = key.take() {
            self.waiters.remove(key);
        }
    }
}

impl Future for WaitForCancellationFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.token.node.poll_cancelled(&mut this.key, cx)
    }
}

impl Future for WaitForCancellationFutureOwned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.token.node.poll_cancelled(&mut this.key, cx)
    }
}

impl Drop for WaitForCancellationFuture<'_> {
    fn drop(&mut self) {
        self.token.node.stop_waiting(&mut self.key);
    }
}

impl Drop for WaitForCancellationFutureOwned {
    fn drop(&mut self) {
        self.token.node.stop_waiting(&mut self.key);
    }
}

impl fmt::Debug for WaitForCancellationFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFuture")
            .field("token", self.token)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitForCancellationFutureOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForCancellationFutureOwned")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
