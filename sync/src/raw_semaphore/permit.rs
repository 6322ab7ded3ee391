//! Permits that a guard holds.

use std::mem;

use super::RawSemaphore;

/// Permits of a [`RawSemaphore`] that were acquired. Releases them when it is dropped.
pub(crate) struct RawPermit<'a> {
    semaphore: &'a RawSemaphore,
    count: usize,
}

impl<'a> RawPermit<'a> {
    /// For a caller that acquired `count` permits.
    #[inline]
    pub(crate) fn new(semaphore: &'a RawSemaphore, count: usize) -> Self {
        Self { semaphore, count }
    }

    /// Leaves the permits acquired.
    #[inline]
    pub(crate) fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for RawPermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.release(self.count);
    }
}
