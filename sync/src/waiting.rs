//! [`Waiting`]: a waiter as a future, for primitives whose waiters have no grant to
//! pass on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use crate::waiters::{Key, Waiters};

/// A waiter that joins the queue when it is created, and is ready when it is granted.
///
/// It spends the task's budget. If it is dropped before it is granted, it leaves the queue.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Waiting<'a, G> {
    waiters: &'a Waiters<G>,
    /// `None` once the future was ready.
    key: Option<Key>,
}

impl<'a, G> Waiting<'a, G> {
    pub(crate) fn join(waiters: &'a Waiters<G>) -> Self {
        Self {
            waiters,
            key: Some(waiters.enqueue()),
        }
    }

    pub(crate) fn is_granted(&self) -> bool {
        match &self.key {
            Some(key) => self.waiters.is_granted(key),
            None => true,
        }
    }

    /// Leaves the queue, and returns the grant if there was one.
    pub(crate) fn leave(&mut self) -> Option<G> {
        self.waiters.remove(self.key.take()?)
    }
}

impl<G> Future for Waiting<'_, G> {
    type Output = G;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        let this = self.get_mut();
        ready!(coop::poll_proceed(cx));
        this.waiters.poll_remove(&mut this.key, cx)
    }
}

impl<G> Drop for Waiting<'_, G> {
    fn drop(&mut self) {
        self.leave();
    }
}
