//! [`OnceCell`]: a value that is made when somebody first needs it.
//!
//! # Invariants
//!
//! 1. There is one permit. Whoever makes the value holds it; so no two are
//!    made at the same time.
//! 2. The permits are closed once the value is there, which lets those go on
//!    who waited to make it.

use std::cell;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use crate::permits::{Permits, Refused};

/// A value that is made, asynchronously, when somebody first needs it.
///
/// Tasks that need it while it is being made wait. If making it fails, panics or
/// is cancelled, the next of them tries.
///
/// A task that no longer polls the future which makes the value waits for itself if it then
/// asks for the value by another future. See [Futures that a task leaves
/// behind](crate#futures-that-a-task-leaves-behind).
///
/// # Examples
///
/// ```
/// use coreloop::sync::OnceCell;
/// use coreloop::task::yield_now;
///
/// coreloop::block_on(async {
///     let config = OnceCell::new();
///     for _ in 0..2 {
///         let value = config
///             .get_or_init(async || {
///                 yield_now().await;
///                 42
///             })
///             .await;
///         assert_eq!(*value, 42);
///     }
/// });
/// ```
pub struct OnceCell<T> {
    value: cell::OnceCell<T>,
    permits: Permits,
}

impl<T> OnceCell<T> {
    /// Creates a cell without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            value: cell::OnceCell::new(),
            permits: Permits::new(1),
        }
    }

    /// Creates a cell without a value: [`new`](Self::new) by tokio's other
    /// name.
    #[must_use]
    pub const fn const_new() -> Self {
        Self::new()
    }

    /// Creates a cell with a value, if there is one.
    #[must_use]
    pub fn new_with(value: Option<T>) -> Self {
        match value {
            Some(value) => Self::from(value),
            None => Self::new(),
        }
    }

    /// Whether there is a value.
    #[must_use]
    pub fn initialized(&self) -> bool {
        self.value.get().is_some()
    }

    /// The value, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if there is one, to change.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Puts a value in.
    ///
    /// # Errors
    ///
    /// [`SetError`] with the value, if there is one already, or somebody is
    /// making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        match self.permits.try_acquire(1) {
            Ok(()) => {
                self.fill(value);
                Ok(())
            }
            Err(Refused::Unavailable) => Err(SetError::InitializingError(value)),
            Err(Refused::Closed) => unreachable!("it is closed when there is a value"),
        }
    }

    /// The value; made by `make` if there is none and nobody is making it.
    ///
    /// `make` must not need the value of the same cell: it would wait for
    /// itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the dropped future was making the value, the next who
    /// waits makes it anew.
    pub async fn get_or_init<F: AsyncFnOnce() -> T>(&self, make: F) -> &T {
        let made: Result<&T, Infallible> = self.get_or_try_init(async || Ok(make().await)).await;
        match made {
            Ok(value) => value,
        }
    }

    /// The value; made by `make` if there is none and nobody is making it.
    ///
    /// `make` must not need the value of the same cell: it would wait for
    /// itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the dropped future was making the value, the next who
    /// waits makes it anew.
    ///
    /// # Errors
    ///
    /// That of `make`. There is no value then, and the next who waits makes it.
    pub async fn get_or_try_init<E, F>(&self, make: F) -> Result<&T, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        if self.permits.acquire(1).await.is_ok() {
            let turn = Turn(&self.permits);
            let value = make().await?;
            std::mem::forget(turn);
            self.fill(value);
        }
        match self.value.get() {
            Some(value) => Ok(value),
            None => unreachable!("it is closed when there is a value"),
        }
    }

    /// Takes the value out of the cell, which is gone then.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out of the cell, which is without one then.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }

    /// For whoever holds the permit.
    fn fill(&self, value: T) {
        if self.value.set(value).is_err() {
            unreachable!("whoever holds the permit is the only one to fill it");
        }
        self.permits.close();
    }
}

/// Lets the next one try, when dropped.
struct Turn<'a>(&'a Permits);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.release(1);
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self {
            value: cell::OnceCell::from(value),
            permits: Permits::new(0),
        };
        cell.permits.close();
        cell
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OnceCell")
            .field("value", &self.get())
            .finish()
    }
}

/// The error of [`OnceCell::set`], with the value that was not put in.
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// There was a value already.
    AlreadyInitializedError(T),
    /// Somebody is making one.
    InitializingError(T),
}

impl<T> SetError<T> {
    /// Whether there was a value already.
    #[must_use]
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, SetError::AlreadyInitializedError(_))
    }

    /// Whether somebody is making one.
    #[must_use]
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, SetError::InitializingError(_))
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As tokio's.
        formatter.write_str(match self {
            SetError::AlreadyInitializedError(_) => "AlreadyInitializedError",
            SetError::InitializingError(_) => "InitializingError",
        })
    }
}

impl<T: fmt::Debug> Error for SetError<T> {}
