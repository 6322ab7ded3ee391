//! Guards that borrow the mutex.

use std::cell::RefMut;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use super::Mutex;
use crate::raw_semaphore::RawPermit;

/// A guard of a locked [`Mutex`], which gives access to the value.
///
/// Unlocks the mutex when dropped.
///
/// It may be held across an await, but until it is dropped, all other tasks wait.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T> {
    // Dropped before the permit is released.
    value: RefMut<'a, T>,
    locked: Locked<'a, T>,
}

/// A locked mutex. Unlocks it when it is dropped.
///
/// It is a [`RawPermit`] that is one word smaller, because the count is known.
struct Locked<'a, T>(&'a Mutex<T>);

impl<'a, T> Locked<'a, T> {
    fn into_permit(self) -> RawPermit<'a> {
        let permit = RawPermit::new(&self.0.semaphore, 1);
        mem::forget(self);
        permit
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.semaphore.release(1);
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// For a caller that holds the permit.
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
    /// This is an associated function, so that it does not hide a method of the value.
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
        MappedMutexGuard {
            permit: this.locked.into_permit(),
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
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let Self { value, locked } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(MappedMutexGuard {
                value,
                permit: locked.into_permit(),
            }),
            Err(value) => Err(Self { value, locked }),
        }
    }

    /// Returns the mutex that the guard locks.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.locked.0
    }
}

/// A guard of a locked [`Mutex`], which gives access to a part of the value.
///
/// Unlocks the mutex when dropped. [`MutexGuard::map`] creates it.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    // Dropped before the permit is released.
    value: RefMut<'a, T>,
    permit: RawPermit<'a>,
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// Narrows the guard further.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        MappedMutexGuard {
            permit: this.permit,
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
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let Self { value, permit } = this;
        match RefMut::filter_map(value, part) {
            Ok(value) => Ok(MappedMutexGuard { value, permit }),
            Err(value) => Err(Self { value, permit }),
        }
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MappedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MappedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
