//! [`Take`]: the future that waits for room or for an item.

use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::task::coop;

use crate::capacity::{Capacity, Closed};
use crate::waiters::Key;

/// The future that takes one slot of a queue.
pub(super) struct Take<'a> {
    capacity: &'a Capacity,
    key: Option<Key>,
}

impl<'a> Take<'a> {
    pub(super) fn new(capacity: &'a Capacity) -> Self {
        Self {
            capacity,
            key: None,
        }
    }
}

impl Future for Take<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if coop::poll_proceed(cx).is_pending() {
            this.capacity.keep_place(&mut this.key);
            return Poll::Pending;
        }
        this.capacity.poll_take(&mut this.key, cx)
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        let had = self.capacity.leave(&mut self.key);
        self.capacity.add(had);
    }
}
