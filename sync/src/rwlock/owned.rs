//! The guards of a reader-writer lock that borrow nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::{RwLock, shared};

/// A guard of a [`RwLock`] for reading the value, which keeps the lock alive.
///
/// Unlocks the lock when dropped. [`RwLock::read_owned`] creates it.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct OwnedRwLockReadGuard<T> {
    // Dropped before the permit is released, so that the next writer does not share it.
    value: Rc<T>,
    unlock: Unlock<T>,
}

/// Releases one permit when dropped.
struct Unlock<T>(Rc<RwLock<T>>);

/// A guard of a [`RwLock`] for changing the value, which keeps the lock alive.
///
/// Unlocks the lock when dropped. [`RwLock::write_owned`] creates it.
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct OwnedRwLockWriteGuard<T> {
    lock: Rc<RwLock<T>>,
    /// The only `Rc` of the value. `None` once the guard is dropped or downgraded.
    value: Option<Rc<T>>,
}

impl<T> OwnedRwLockReadGuard<T> {
    /// For a caller that holds one permit.
    pub(super) fn new(lock: Rc<RwLock<T>>) -> Self {
        let value = Rc::clone(shared(&lock.value.borrow()));
        Self {
            value,
            unlock: Unlock(lock),
        }
    }

    /// Returns the lock that the guard belongs to.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn rwlock(this: &Self) -> &Rc<RwLock<T>> {
        &this.unlock.0
    }
}

impl<T> Drop for Unlock<T> {
    fn drop(&mut self) {
        self.0.semaphore.release(1);
    }
}

impl<T> OwnedRwLockWriteGuard<T> {
    /// For a caller that holds all permits.
    pub(super) fn new(lock: Rc<RwLock<T>>) -> Self {
        let value = lock.value.take();
        Self { lock, value }
    }

    /// Turns the guard into a guard for reading, without a moment in which another task
    /// could write. See
    /// [`RwLockWriteGuard::downgrade`](super::RwLockWriteGuard::downgrade).
    pub fn downgrade(mut self) -> OwnedRwLockReadGuard<T> {
        self.put_back();
        OwnedRwLockReadGuard::new(Rc::clone(&self.lock))
        // All permits but one are released when `self` is dropped, here.
    }

    /// Returns the lock that the guard belongs to.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn rwlock(this: &Self) -> &Rc<RwLock<T>> {
        &this.lock
    }

    /// Puts the value back. Returns false if it was put back already.
    fn put_back(&mut self) -> bool {
        let Some(value) = self.value.take() else {
            return false;
        };
        let nothing = self.lock.value.replace(Some(value));
        debug_assert!(nothing.is_none(), "the value was in the guard");
        true
    }
}

impl<T> Drop for OwnedRwLockWriteGuard<T> {
    fn drop(&mut self) {
        let all = self.lock.max_readers as usize;
        let was_writer = self.put_back();
        self.lock
            .semaphore
            .release(if was_writer { all } else { all - 1 });
    }
}

impl<T> Deref for OwnedRwLockReadGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for OwnedRwLockWriteGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        shared(&self.value)
    }
}

impl<T> DerefMut for OwnedRwLockWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        super::exclusive(&mut self.value)
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
