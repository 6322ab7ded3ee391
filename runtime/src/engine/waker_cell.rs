//! [`WakerCell`]: room for the waker of the one future that waits for something.
//!
//! The crate `sync` has a type of the same name, whose wakers let their panics out.

use std::cell::Cell;
use std::fmt;
use std::task::{Context, Waker};

use crate::engine::panics::Foreign;

/// A place for the waker of a future that waits, until it is woken.
///
/// Wakers are user code when they are cloned, woken and dropped. Nothing is borrowed then,
/// and a panic of waking or dropping one does not come out.
#[derive(Default)]
pub(crate) struct WakerCell(Cell<Foreign<Waker>>);

impl WakerCell {
    /// Keeps the waker of `context`. Returns whether user code ran for that: if so, what is
    /// waited for may have come, and the caller has to look again.
    #[inline]
    pub(crate) fn keep(&self, cx: &Context<'_>) -> bool {
        let before = self.0.take();
        if before.will_wake(cx.waker()) {
            self.0.set(before);
            return false;
        }
        let waker = Foreign::new(cx.waker().clone());
        self.0.set(waker);
        drop(before);
        true
    }

    /// Takes the waker out, for the caller to drop.
    #[inline]
    pub(crate) fn take(&self) -> Foreign<Waker> {
        self.0.take()
    }

    /// Takes the waker out, and wakes what waits.
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
