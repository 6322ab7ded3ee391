//! Waiting for room or for an item.

use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::task::coop;

use crate::slots::{Closed, Place, Slots};

/// Takes one of the slots of a queue.
pub(super) struct Take<'a> {
    slots: &'a Slots,
    place: Place,
}

impl<'a> Take<'a> {
    pub(super) fn new(slots: &'a Slots) -> Self {
        Self { slots, place: None }
    }
}

impl Future for Take<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if coop::poll_proceed(cx).is_pending() {
            this.slots.keep_place(&mut this.place);
            return Poll::Pending;
        }
        this.slots.poll_take(&mut this.place, cx)
    }
}

impl Drop for Take<'_> {
    fn drop(&mut self) {
        let had = self.slots.leave(&mut self.place);
        self.slots.add(had);
    }
}
