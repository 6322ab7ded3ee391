//! The guards of a reader-writer lock that borrow it.

use std::cell::{Ref, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::RwLock;
use crate::raw_semaphore::RawPermit;

/// A guard of a [`RwLock`] for reading the value, or a part of it.
///
/// Unlocks the lock when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Dropped before the permit is released.
    value: Ref<'a, T>,
    permit: RawPermit<'a>,
}

/// A guard of a [`RwLock`] for changing the value.
///
/// Unlocks the lock when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T> {
    // Dropped before the permits are released.
    value: RefMut<'a, T>,
    lock: &'a RwLock<T>,
    permits: RawPermit<'a>,
}

/// A guard of a [`RwLock`] for changing a part of the value.
///
/// Unlocks the lock when dropped. [`RwLockWriteGuard::map`] creates it.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    // Dropped before the permits are released.
    value: RefMut<'a, T>,
    permits: RawPermit<'a>,
}

impl<'a, T> RwLockReadGuard<'a, T> {
    /// For a caller that holds one permit.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        let permit = RawPermit::new(&lock.semaphore, 1);
        Self {
            value: lock.borrow(),
            permit,
        }
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(this: Self, part: impl FnOnce(&T) -> &U) -> RwLockReadGuard<'a, U> {
        RwLockReadGuard {
            permit: this.permit,
            value: Ref::map(this.value, part),
        }
    }

    /// Narrows the guard to a part of the value, if the value has that part.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    ///
    /// # Errors
    ///
    /// Returns the guard if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<RwLockReadGuard<'a, U>, Self> {
        let Self { value, permit } = this;
        match Ref::filter_map(value, part) {
            Ok(value) => Ok(RwLockReadGuard { value, permit }),
            Err(value) => Err(Self { value, permit }),
        }
    }
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    /// For a caller that holds all permits.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        let permits = RawPermit::new(&lock.semaphore, lock.max_readers as usize);
        Self {
            value: lock.borrow_mut(),
            lock,
            permits,
        }
    }

    /// Narrows the guard to a part of the value.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> RwLockMappedWriteGuard<'a, U> {
        RwLockMappedWriteGuard {
            permits: this.permits,
            value: RefMut::map(this.value, part),
        }
    }

    /// Narrows the guard to a part of the value, if the value has that part.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    ///
    /// # Errors
    ///
    /// Returns the guard if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self> {
        let Self {
            value,
            lock,
            permits,
        } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(RwLockMappedWriteGuard { value, permits }),
            Err(value) => Err(Self {
                value,
                lock,
                permits,
            }),
        }
    }

    /// Turns the guard into a guard for reading, without a moment in which another task
    /// could write.
    ///
    /// Readers at the head of the queue are granted the lock too.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::RwLock;
    ///
    /// coreloop::block_on(async {
    ///     let lock = RwLock::new(1);
    ///     let mut writer = lock.write().await;
    ///     *writer = 2;
    ///     let reader = writer.downgrade();
    ///     assert_eq!(*lock.read().await, 2);
    ///     assert!(lock.try_write().is_err());
    ///     drop(reader);
    /// });
    /// ```
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let Self {
            value,
            lock,
            permits,
        } = self;
        permits.forget();
        drop(value);
        let reader = RwLockReadGuard::new(lock);
        lock.semaphore.release(lock.max_readers as usize - 1);
        reader
    }

    /// Turns the guard into a guard for reading a part of the value. See
    /// [`downgrade`](Self::downgrade).
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    pub fn downgrade_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> RwLockReadGuard<'a, U> {
        RwLockReadGuard::map(this.downgrade(), part)
    }
}

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    /// Narrows the guard further.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> RwLockMappedWriteGuard<'a, U> {
        RwLockMappedWriteGuard {
            permits: this.permits,
            value: RefMut::map(this.value, part),
        }
    }

    /// Narrows the guard further, if the value has that part.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    ///
    /// # Errors
    ///
    /// Returns the guard if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self> {
        let Self { value, permits } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(RwLockMappedWriteGuard { value, permits }),
            Err(value) => Err(Self { value, permits }),
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized> Deref for RwLockMappedWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for RwLockMappedWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockMappedWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockMappedWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
