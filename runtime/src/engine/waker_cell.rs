//! [`WakerCell`]: a place for the waker of the one future that waits for an event.
//!
//! The crate `sync` has a type of the same name, from which the panics of wakers propagate.

use std::cell::Cell;
use std::fmt;
use std::task::{Context, Waker};

use crate::engine::panics::UserValue;

/// A place for the waker of a future that waits.
///
/// Cloning, waking and dropping a waker runs user code. The cell is not borrowed meanwhile,
/// and catches a panic of waking or dropping the waker.
#[derive(Default)]
pub(crate) struct WakerCell(Cell<UserValue<Waker>>);

impl WakerCell {
    /// Keeps the waker of `cx`. Returns false if the cell already had a waker that wakes the
    /// same future. Otherwise user code was run, in which the event may have happened, and the
    /// caller has to check for it again.
    #[inline]
    pub(crate) fn keep(&self, cx: &Context<'_>) -> bool {
        let before = self.0.take();
        if before.will_wake(cx.waker()) {
            self.0.set(before);
            return false;
        }
        let waker = UserValue::new(cx.waker().clone());
        self.0.set(waker);
        drop(before);
        true
    }

    /// Takes the waker out.
    #[inline]
    pub(crate) fn take(&self) -> UserValue<Waker> {
        self.0.take()
    }

    /// Returns whether there is no waker.
    pub(super) fn is_empty(&self) -> bool {
        let waker = self.0.take();
        let is_empty = waker.get().is_none();
        self.0.set(waker);
        is_empty
    }

    /// Takes the waker out and wakes it, if there is one.
    #[inline]
    pub(crate) fn wake(&self) {
        self.take().wake();
    }
}

impl fmt::Debug for WakerCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakerCell").finish_non_exhaustive()
    }
}
