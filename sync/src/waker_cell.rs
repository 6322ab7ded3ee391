//! [`WakerCell`]: a place for the waker of the one task that may wait.
//!
//! The runtime has a type for the same purpose, which catches the panics of wakers. Here a
//! panic of a waker reaches the code that woke it, such as the caller of `send`.
//!
//! # Invariants
//!
//! 1. The cell is empty, and nothing of it is borrowed, while a waker is cloned, woken or
//!    dropped: a waker is user code, which may call this cell again.
//! 2. `is_full` is true exactly if there is a waker.

use std::cell::Cell;
use std::fmt;
use std::task::{Context, Waker};

/// A place for one waker.
#[derive(Default)]
pub(crate) struct WakerCell {
    waker: Cell<Option<Waker>>,
    /// A flag of its own, because the waker cannot be read inside its cell, and most wakes
    /// find none.
    is_full: Cell<bool>,
}

/// The result of [`WakerCell::register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    /// The cell has a waker of the same task already.
    Unchanged,
    /// The waker was cloned into the cell. User code ran, so the caller has to check again
    /// whatever it waits for.
    Replaced,
}

impl WakerCell {
    pub(crate) const fn new() -> Self {
        Self {
            waker: Cell::new(None),
            is_full: Cell::new(false),
        }
    }

    /// Keeps the waker of `cx` until it is woken, replaced or taken.
    #[inline]
    pub(crate) fn register(&self, cx: &Context<'_>) -> Registered {
        let before = self.take();
        if before
            .as_ref()
            .is_some_and(|before| before.will_wake(cx.waker()))
        {
            self.replace(before);
            return Registered::Unchanged;
        }
        let waker = cx.waker().clone();
        // The clone may have filled the cell.
        let meanwhile = self.replace(Some(waker));
        drop(before);
        drop(meanwhile);
        Registered::Replaced
    }

    /// Takes the waker out and wakes it, if there is one.
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

impl fmt::Debug for WakerCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakerCell").finish_non_exhaustive()
    }
}
