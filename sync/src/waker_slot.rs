//! [`WakerSlot`]: room for the waker of the one task that may wait.
//!
//! # Invariants
//!
//! 1. The slot is empty, and nothing of it is borrowed, while a waker is
//!    cloned, woken or dropped: that is foreign code and may come back.

use std::cell::Cell;
use std::fmt;
use std::task::{Context, Waker};

/// A waker, or none.
#[derive(Default)]
pub(crate) struct WakerSlot(Cell<Option<Waker>>);

/// What [`WakerSlot::keep`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The waker was there already.
    Already,
    /// It was cloned into the slot. Foreign code ran, so whatever was looked at
    /// before has to be looked at again.
    Anew,
}

impl WakerSlot {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Keeps the waker of `cx` until it is woken or replaced.
    #[inline]
    pub(crate) fn keep(&self, cx: &Context<'_>) -> Kept {
        let before = self.0.take();
        if before
            .as_ref()
            .is_some_and(|before| before.will_wake(cx.waker()))
        {
            self.0.set(before);
            return Kept::Already;
        }
        let waker = cx.waker().clone();
        // Others may have filled the slot during the clone.
        let meanwhile = self.0.replace(Some(waker));
        drop(before);
        drop(meanwhile);
        Kept::Anew
    }

    /// Wakes the waker, if there is one, which is gone from here then.
    #[inline]
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }

    /// Takes the waker out, for the caller to drop.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.0.take()
    }
}

impl fmt::Debug for WakerSlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WakerSlot").finish_non_exhaustive()
    }
}
