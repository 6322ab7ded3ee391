//! Guards that borrow the mutex.

use std::cell::RefMut;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use super::Mutex;
use crate::permits::Permits;

/// The right to use the value of a locked [`Mutex`]; unlocks it when dropped.
///
/// It may be held across an await, but as long as it is, everyone else waits.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T> {
    // Dropped before the lock is released.
    value: RefMut<'a, T>,
    locked: Locked<'a, T>,
}

/// Unlocks the mutex when dropped.
struct Locked<'a, T>(&'a Mutex<T>);

impl<'a, T> MutexGuard<'a, T> {
    /// For who holds the permit.
    #[inline]
    pub(super) fn new(mutex: &'a Mutex<T>) -> Self {
        let locked = Locked(mutex);
        Self {
            value: mutex.borrow(),
            locked,
        }
    }

    /// Narrows the guard to a part of the value.
    ///
    /// An associated function, so that it does not hide a method of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::{Mutex, MutexGuard};
    ///
    /// coreloop::block_on(async {
    ///     let pair = Mutex::new((1, 2));
    ///     let mut second = MutexGuard::map(pair.lock().await, |pair| &mut pair.1);
    ///     *second = 3;
    ///     drop(second);
    ///     assert_eq!(*pair.lock().await, (1, 3));
    /// });
    /// ```
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        let unlock = Unlock(&this.locked.0.permits);
        mem::forget(this.locked);
        MappedMutexGuard {
            value: RefMut::map(this.value, part),
            unlock,
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
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let Self { value, locked } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => {
                let unlock = Unlock(&locked.0.permits);
                mem::forget(locked);
                Ok(MappedMutexGuard { value, unlock })
            }
            Err(value) => Err(Self { value, locked }),
        }
    }

    /// The mutex that this is the lock of.
    ///
    /// An associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.locked.0
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.permits.release(1);
    }
}

/// The right to use a part of the value of a locked [`Mutex`]; unlocks it when
/// dropped. Made by [`MutexGuard::map`].
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    // Dropped before the lock is released.
    value: RefMut<'a, T>,
    unlock: Unlock<'a>,
}

/// Unlocks a mutex of whatever when dropped.
struct Unlock<'a>(&'a Permits);

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// Narrows the guard further.
    ///
    /// An associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        MappedMutexGuard {
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
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let Self { value, unlock } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(MappedMutexGuard { value, unlock }),
            Err(value) => Err(Self { value, unlock }),
        }
    }
}

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        self.0.release(1);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized> Deref for MappedMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for MappedMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedMutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedMutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
