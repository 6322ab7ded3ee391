//! The guard of a mutex that borrows nothing.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::Mutex;

/// A guard of a locked [`Mutex`], which gives access to the value and keeps the mutex
/// alive.
///
/// Unlocks the mutex when dropped. [`Mutex::lock_owned`] creates it.
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct OwnedMutexGuard<T> {
    mutex: Rc<Mutex<T>>,
    /// `None` only while the guard is being dropped.
    value: Option<T>,
}

impl<T> OwnedMutexGuard<T> {
    /// For a caller that holds the permit.
    pub(super) fn new(mutex: Rc<Mutex<T>>) -> Self {
        let value = mutex.value.take();
        Self { mutex, value }
    }

    /// Returns the mutex that the guard locks.
    ///
    /// This is an associated function, so that it does not hide a method of the value.
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
            None => unreachable!("the value is here until the guard is dropped"),
        }
    }
}

impl<T> DerefMut for OwnedMutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("the value is here until the guard is dropped"),
        }
    }
}

impl<T> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        let nothing = self.mutex.value.replace(self.value.take());
        debug_assert!(nothing.is_none(), "the value was in the guard");
        self.mutex.semaphore.release(1);
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
