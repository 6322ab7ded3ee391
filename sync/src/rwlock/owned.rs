//! Guards that borrow nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::{RwLock, shared};

/// The right to read the value of a [`RwLock`], which it keeps alive; unlocks
/// it when dropped. Made by [`RwLock::read_owned`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct OwnedRwLockReadGuard<T> {
    // Dropped before the permit is released, so that the next writer is alone.
    value: Rc<T>,
    unlock: Unlock<T>,
}

/// Releases one permit when dropped.
struct Unlock<T>(Rc<RwLock<T>>);

/// The right to change the value of a [`RwLock`], which it keeps alive;
/// unlocks it when dropped. Made by [`RwLock::write_owned`].
#[must_use = "if unused the RwLock will immediately unlock"]
pub struct OwnedRwLockWriteGuard<T> {
    lock: Rc<RwLock<T>>,
    /// Here, and nowhere else, until the guard is dropped or downgraded.
    value: Option<Rc<T>>,
}

impl<T> OwnedRwLockReadGuard<T> {
    /// For who holds one permit.
    pub(super) fn new(lock: Rc<RwLock<T>>) -> Self {
        let value = Rc::clone(shared(&lock.value.borrow()));
        Self {
            value,
            unlock: Unlock(lock),
        }
    }

    /// The lock that this is of.
    ///
    /// An associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn rwlock(this: &Self) -> &Rc<RwLock<T>> {
        &this.unlock.0
    }
}

impl<T> Drop for Unlock<T> {
    fn drop(&mut self) {
        self.0.permits.release(1);
    }
}

impl<T> OwnedRwLockWriteGuard<T> {
    /// For who holds all permits.
    pub(super) fn new(lock: Rc<RwLock<T>>) -> Self {
        let value = lock.value.take();
        Self { lock, value }
    }

    /// Goes on as a reader, without a moment in which another could write. See
    /// [`RwLockWriteGuard::downgrade`](super::RwLockWriteGuard::downgrade).
    pub fn downgrade(mut self) -> OwnedRwLockReadGuard<T> {
        self.put_back();
        OwnedRwLockReadGuard::new(Rc::clone(&self.lock))
        // Its permits but one are released when it is dropped, here.
    }

    /// The lock that this is of.
    ///
    /// An associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn rwlock(this: &Self) -> &Rc<RwLock<T>> {
        &this.lock
    }

    /// False if it has been put back already.
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
        let is_over = self.put_back();
        self.lock
            .permits
            .release(if is_over { all } else { all - 1 });
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
        super::alone(&mut self.value)
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedRwLockReadGuard<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedRwLockReadGuard<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
