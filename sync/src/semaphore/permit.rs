//! Permits that are out.

use std::fmt;
use std::rc::Rc;

use super::Semaphore;

/// Permits of a [`Semaphore`]; given back when dropped.
#[must_use = "a permit that is not kept is given back at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

/// Permits of a [`Semaphore`], which they keep alive; given back when dropped.
/// Made by [`Semaphore::acquire_owned`].
#[must_use = "a permit that is not kept is given back at once"]
pub struct OwnedSemaphorePermit {
    semaphore: Rc<Semaphore>,
    count: usize,
}

impl<'a> SemaphorePermit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, count: u32) -> Self {
        Self {
            semaphore,
            count: count as usize,
        }
    }

    /// Does not give the permits back: the semaphore has fewer from now on.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Joins the permits of another to these.
    ///
    /// # Panics
    ///
    /// If the other's are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.count += std::mem::take(&mut other.count);
    }

    /// Splits so many permits off; `None` if there are fewer.
    #[must_use = "the permits that were split off are given back when dropped"]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self {
            semaphore: self.semaphore,
            count,
        })
    }

    /// The semaphore that the permits are of.
    #[must_use]
    pub fn semaphore(&self) -> &Semaphore {
        self.semaphore
    }

    /// How many permits these are.
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.count
    }
}

impl OwnedSemaphorePermit {
    pub(super) fn new(semaphore: Rc<Semaphore>, count: u32) -> Self {
        Self {
            semaphore,
            count: count as usize,
        }
    }

    /// Does not give the permits back: the semaphore has fewer from now on.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Joins the permits of another to these.
    ///
    /// # Panics
    ///
    /// If the other's are of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Rc::ptr_eq(&self.semaphore, &other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.count += std::mem::take(&mut other.count);
    }

    /// Splits so many permits off; `None` if there are fewer.
    #[must_use = "the permits that were split off are given back when dropped"]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self {
            semaphore: Rc::clone(&self.semaphore),
            count,
        })
    }

    /// The semaphore that the permits are of.
    #[must_use]
    pub fn semaphore(&self) -> &Rc<Semaphore> {
        &self.semaphore
    }

    /// How many permits these are.
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.count
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.permits.release(self.count);
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.semaphore.permits.release(self.count);
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SemaphorePermit")
            .field("permits", &self.count)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OwnedSemaphorePermit")
            .field("permits", &self.count)
            .finish_non_exhaustive()
    }
}
