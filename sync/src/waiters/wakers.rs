//! [`Wakers`]: wakers to wake once nothing is borrowed.

use std::task::Waker;

use crate::wake_all::wake_all;

/// Wakers to wake, in order. A single waker needs no allocation.
#[derive(Default)]
pub(crate) struct Wakers {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    pub(crate) const fn new() -> Self {
        Self {
            first: None,
            rest: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn extend(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.rest.extend(waker);
        }
    }

    /// Wakes all wakers, even if some panic: the grants are recorded, so nothing else would
    /// wake the waiters. The first panic is resumed afterwards.
    #[inline]
    pub(crate) fn wake(self) {
        if !self.rest.is_empty() {
            wake_all(self.first.into_iter().chain(self.rest));
        } else if let Some(waker) = self.first {
            waker.wake();
        }
    }
}
