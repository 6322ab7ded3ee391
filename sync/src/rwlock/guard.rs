//! Guards that borrow the lock.

use std::cell::{Ref, RefMut};
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use super::RwLock;
use crate::permits::Permits;

/// The right to read the value of a [`RwLock`], or a part of it; unlocks it
/// when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Dropped before the permit is released.
    value: Ref<'a, T>,
    unlock: Unlock<'a>,
}

/// The right to change the value of a [`RwLock`]; unlocks it when dropped.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockWriteGuard<'a, T> {
    // Dropped before the permits are released.
    value: RefMut<'a, T>,
    lock: &'a RwLock<T>,
    unlock: Unlock<'a>,
}

/// The right to change a part of the value of a [`RwLock`]; unlocks it when
/// dropped. Made by [`RwLockWriteGuard::map`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    // Dropped before the permits are released.
    value: RefMut<'a, T>,
    unlock: Unlock<'a>,
}

/// Releases permits when dropped.
struct Unlock<'a> {
    permits: &'a Permits,
    count: u32,
}

impl Drop for Unlock<'_> {
    #[inline]
    fn drop(&mut self) {
        self.permits.release(self.count as usize);
    }
}

impl<'a, T> RwLockReadGuard<'a, T> {
    /// For who holds one permit.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        let unlock = Unlock {
            permits: &lock.permits,
            count: 1,
        };
        Self {
            value: lock.borrow(),
            unlock,
        }
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// An associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(this: Self, part: impl FnOnce(&T) -> &U) -> RwLockReadGuard<'a, U> {
        RwLockReadGuard {
            unlock: this.unlock,
            value: Ref::map(this.value, part),
        }
    }

    /// Narrows the guard to a part of the value, if it has that part.
    ///
    /// An associated function, so that it does not hide a method of the value.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<RwLockReadGuard<'a, U>, Self> {
        let Self { value, unlock } = this;
        match Ref::filter_map(value, part) {
            Ok(value) => Ok(RwLockReadGuard { value, unlock }),
            Err(value) => Err(Self { value, unlock }),
        }
    }
}

impl<'a, T> RwLockWriteGuard<'a, T> {
    /// For who holds all permits.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        let unlock = Unlock {
            permits: &lock.permits,
            count: lock.max_readers,
        };
        Self {
            value: lock.borrow_mut(),
            lock,
            unlock,
        }
    }

    /// Narrows the guard to a part of the value.
    ///
    /// An associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> RwLockMappedWriteGuard<'a, U> {
        RwLockMappedWriteGuard {
            unlock: this.unlock,
            value: RefMut::map(this.value, part),
        }
    }

    /// Narrows the guard to a part of the value, if it has that part.
    ///
    /// An associated function, so that it does not hide a method of the value.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self> {
        let Self {
            value,
            lock,
            unlock,
        } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(RwLockMappedWriteGuard { value, unlock }),
            Err(value) => Err(Self {
                value,
                lock,
                unlock,
            }),
        }
    }

    /// Goes on as a reader, without a moment in which another could write.
    ///
    /// Readers at the head of the queue go on beside it.
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
            unlock,
        } = self;
        mem::forget(unlock);
        drop(value);
        let reader = RwLockReadGuard::new(lock);
        lock.permits.release(lock.max_readers as usize - 1);
        reader
    }

    /// Goes on as a reader of a part of the value. See
    /// [`downgrade`](Self::downgrade).
    ///
    /// An associated function, so that it does not hide a method of the value.
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
    /// An associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> RwLockMappedWriteGuard<'a, U> {
        RwLockMappedWriteGuard {
            unlock: this.unlock,
            value: RefMut::map(this.value, part),
        }
    }

    /// Narrows the guard further, if there is such a part.
    ///
    /// An associated function, so that it does not hide a method of the value.
    ///
    /// # Errors
    ///
    /// The guard as it was, if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self> {
        let Self { value, unlock } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(RwLockMappedWriteGuard { value, unlock }),
            Err(value) => Err(Self { value, unlock }),
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockMappedWriteGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockMappedWriteGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
