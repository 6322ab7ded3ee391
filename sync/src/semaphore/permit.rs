//! Permits that were acquired.

use std::fmt;
use std::rc::Rc;

use super::Semaphore;

/// Permits of a [`Semaphore`], which are released when this is dropped.
#[must_use = "a permit that is not kept is released at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

/// Permits of a [`Semaphore`], which they keep alive.
///
/// They are released when this is dropped. [`Semaphore::acquire_owned`] returns it.
#[must_use = "a permit that is not kept is released at once"]
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

    /// Drops the permits without releasing them: the semaphore has fewer from now on.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Adds the permits of `other` to these.
    ///
    /// # Panics
    ///
    /// Panics if `other` has permits of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.count += std::mem::take(&mut other.count);
    }

    /// Splits `count` permits off. Returns `None` if there are fewer.
    #[must_use = "the permits that were split off are released when dropped"]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self {
            semaphore: self.semaphore,
            count,
        })
    }

    /// Returns the semaphore of the permits.
    #[must_use]
    pub fn semaphore(&self) -> &Semaphore {
        self.semaphore
    }

    /// Returns the number of permits.
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

    /// Drops the permits without releasing them: the semaphore has fewer from now on.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Adds the permits of `other` to these.
    ///
    /// # Panics
    ///
    /// Panics if `other` has permits of another semaphore.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Rc::ptr_eq(&self.semaphore, &other.semaphore),
            "merging permits from different semaphore instances"
        );
        self.count += std::mem::take(&mut other.count);
    }

    /// Splits `count` permits off. Returns `None` if there are fewer.
    #[must_use = "the permits that were split off are released when dropped"]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self {
            semaphore: Rc::clone(&self.semaphore),
            count,
        })
    }

    /// Returns the semaphore of the permits.
    #[must_use]
    pub fn semaphore(&self) -> &Rc<Semaphore> {
        &self.semaphore
    }

    /// Returns the number of permits.
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.count
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.raw.release(self.count);
    }
}

impl Drop for OwnedSemaphorePermit {
    fn drop(&mut self) {
        self.semaphore.raw.release(self.count);
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit")
            .field("permits", &self.count)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit")
            .field("permits", &self.count)
            .finish_non_exhaustive()
    }
}
