//! [`Ref`]: a borrowed value.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

/// The value of a watch channel, as it was when it was borrowed.
///
/// While the `Ref` is held the value may be replaced, which the `Ref` does not show,
/// but it cannot be changed in place; see [the module](super).
pub struct Ref<'a, T> {
    value: Rc<T>,
    has_changed: bool,
    handle: PhantomData<&'a T>,
}

impl<T> Ref<'_, T> {
    pub(super) fn new(value: Rc<T>, has_changed: bool) -> Self {
        Self {
            value,
            has_changed,
            handle: PhantomData,
        }
    }

    /// Returns whether the receiver had not seen this value before. It is always false for
    /// a `Ref` of a sender.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(1);
    /// assert!(!receiver.borrow().has_changed());
    /// sender.send(2).unwrap();
    /// assert!(receiver.borrow().has_changed());
    /// assert!(receiver.borrow_and_update().has_changed());
    /// assert!(!receiver.borrow().has_changed());
    /// ```
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref")
            .field("value", &self.value)
            .field("has_changed", &self.has_changed)
            .finish_non_exhaustive()
    }
}
