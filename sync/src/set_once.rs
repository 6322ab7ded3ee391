//! [`SetOnce`]: a value that tasks wait for.

use std::cell::OnceCell;
use std::error::Error;
use std::fmt;

use coreloop_runtime::task::consume_budget;

use crate::waiters::Waiters;
use crate::waiting::Waiting;

/// A value that is set once, and that any number of tasks wait for.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use coreloop::sync::SetOnce;
///
/// coreloop::block_on(async {
///     let address = Rc::new(SetOnce::new());
///     let client = coreloop::spawn({
///         let address = Rc::clone(&address);
///         async move { *address.wait().await }
///     });
///     address.set(8080).unwrap();
///     assert_eq!(client.await.unwrap(), 8080);
/// });
/// ```
pub struct SetOnce<T> {
    value: OnceCell<T>,
    waiters: Waiters<()>,
}

impl<T> SetOnce<T> {
    /// Creates a `SetOnce` without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            value: OnceCell::new(),
            waiters: Waiters::new(),
        }
    }

    /// Creates a `SetOnce` without a value: [`new`](Self::new) by tokio's other name.
    #[must_use]
    pub const fn const_new() -> Self {
        Self::new()
    }

    /// Creates a `SetOnce` that has the value, if one is given.
    #[must_use]
    pub fn new_with(value: Option<T>) -> Self {
        match value {
            Some(value) => Self::from(value),
            None => Self::new(),
        }
    }

    /// Returns whether there is a value.
    #[must_use]
    pub fn initialized(&self) -> bool {
        self.value.get().is_some()
    }

    /// Returns the value, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Sets the value, and wakes all tasks that wait for it.
    ///
    /// # Errors
    ///
    /// Returns [`SetOnceError`], with the value, if there is a value already.
    pub fn set(&self, value: T) -> Result<(), SetOnceError<T>> {
        self.value.set(value).map_err(SetOnceError)?;
        self.waiters.grant_all(());
        Ok(())
    }

    /// Waits until there is a value.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn wait(&self) -> &T {
        if self.initialized() {
            consume_budget().await;
        } else {
            Waiting::join(&self.waiters).await;
        }
        match self.value.get() {
            Some(value) => value,
            None => unreachable!("only `set` grants"),
        }
    }

    /// Consumes the `SetOnce` and returns the value, if there is one.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for SetOnce<T> {
    fn from(value: T) -> Self {
        Self {
            value: OnceCell::from(value),
            waiters: Waiters::new(),
        }
    }
}

impl<T: Clone> Clone for SetOnce<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for SetOnce<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for SetOnce<T> {}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetOnce")
            .field("value", &self.get())
            .finish()
    }
}

/// The error of [`SetOnce::set`], which returns the value that was not set.
#[derive(Debug, PartialEq, Eq)]
pub struct SetOnceError<T>(pub T);

impl<T> fmt::Display for SetOnceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As tokio prints it.
        f.write_str("SetOnceError")
    }
}

impl<T: fmt::Debug> Error for SetOnceError<T> {}
