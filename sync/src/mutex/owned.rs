//! The guard that borrows nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::Mutex;

/// The right to use the value of a locked [`Mutex`], which it keeps alive;
/// unlocks it when dropped. Made by [`Mutex::lock_owned`].
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct OwnedMutexGuard<T> {
    mutex: Rc<Mutex<T>>,
    /// Here until the guard is dropped.
    value: Option<T>,
}

impl<T> OwnedMutexGuard<T> {
    /// For who holds the permit.
    pub(super) fn new(mutex: Rc<Mutex<T>>) -> Self {
        let value = mutex.value.take();
        Self { mutex, value }
    }

    /// The mutex that this is the lock of.
    ///
    /// An associated function, so that it does not hide a method of the value.
    #[must_use]
    pub fn mutex(this: &Self) -> &Rc<Mutex<T>> {
        &this.mutex
    }
}

impl<T> Deref for OwnedMutexGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("it is here until the guard is dropped"),
        }
    }
}

impl<T> DerefMut for OwnedMutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("it is here until the guard is dropped"),
        }
    }
}

impl<T> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        let nothing = self.mutex.value.replace(self.value.take());
        debug_assert!(nothing.is_none(), "the value was in the guard");
        self.mutex.permits.release(1);
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedMutexGuard<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
