//! [`WakerSlot`]: room for the waker of the one task that may wait.
//!
//! # Invariants
//!
//! 1. The slot is empty, and nothing of it is borrowed, while a waker is
//!    cloned, woken or dropped: that is foreign code and may come back.
//! 2. `is_full` says whether there is a waker.

use std::cell::Cell;
use std::fmt;
use std::task::{Context, Waker};

/// A waker, or none.
#[derive(Default)]
pub(crate) struct WakerSlot {
    waker: Cell<Option<Waker>>,
    /// Beside the waker, which cannot be looked at in its place: most wakes find none.
    is_full: Cell<bool>,
}

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
        Self {
            waker: Cell::new(None),
            is_full: Cell::new(false),
        }
    }

    /// Keeps the waker of `cx` until it is woken, replaced or taken.
    #[inline]
    pub(crate) fn keep(&self, cx: &Context<'_>) -> Kept {
        let before = self.take();
        if before
            .as_ref()
            .is_some_and(|before| before.will_wake(cx.waker()))
        {
            self.replace(before);
            return Kept::Already;
        }
        let waker = cx.waker().clone();
        // Others may have filled the slot during the clone.
        let meanwhile = self.replace(Some(waker));
        drop(before);
        drop(meanwhile);
        Kept::Anew
    }

    /// Wakes the waker, if there is one, which is gone from here then.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.is_full.get() {
            self.wake_now();
        }
    }

    #[cold]
    fn wake_now(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    /// Drops the waker, if there is one.
    #[inline]
    pub(crate) fn clear(&self) {
        if self.is_full.get() {
            self.drop_now();
        }
    }

    #[cold]
    fn drop_now(&self) {
        drop(self.take());
    }

    /// Takes the waker out, for the caller to drop.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.replace(None)
    }

    fn replace(&self, waker: Option<Waker>) -> Option<Waker> {
        self.is_full.set(waker.is_some());
        self.waker.replace(waker)
    }
}

impl fmt::Debug for WakerSlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WakerSlot").finish_non_exhaustive()
    }
}
