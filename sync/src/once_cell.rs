//! [`OnceCell`]: a value that is created when it is first needed.
//!
//! # Invariants
//!
//! 1. There is one permit. The task that creates the value holds it, so no two
//!    values are created at the same time.
//! 2. The semaphore is closed once the value is there, which wakes the tasks
//!    that waited to create it.

use std::cell;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use crate::raw_semaphore::{RawPermit, RawSemaphore, Refused};

/// A cell for a value that an async function creates when it is first needed.
///
/// Tasks that need the value while it is being created wait. If creating it fails,
/// panics or is cancelled, the next of these tasks tries.
///
/// A task that no longer polls the future which creates the value waits for itself if it
/// requests the value through another future. See [Futures that a task leaves
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
    semaphore: RawSemaphore,
}

impl<T> OnceCell<T> {
    /// Creates a cell without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            value: cell::OnceCell::new(),
            semaphore: RawSemaphore::new(1),
        }
    }

    /// Creates a cell without a value: [`new`](Self::new) by tokio's other
    /// name.
    #[must_use]
    pub const fn const_new() -> Self {
        Self::new()
    }

    /// Creates a cell that has the value, if one is given.
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

    /// Returns a mutable reference to the value, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`], with the value, if there is a value already, or if a
    /// task is creating one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        match self.semaphore.try_acquire(1) {
            Ok(()) => {
                self.fill(value);
                Ok(())
            }
            Err(Refused::Unavailable) => Err(SetError::InitializingError(value)),
            Err(Refused::Closed) => {
                unreachable!("the semaphore is closed exactly if there is a value")
            }
        }
    }

    /// Returns the value, and creates it with `make` if there is none.
    ///
    /// If another task is creating it, this waits for that task instead.
    ///
    /// `make` must not need the value of the same cell, because it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the dropped future was creating the value, the next waiter
    /// creates it.
    pub async fn get_or_init<F: AsyncFnOnce() -> T>(&self, make: F) -> &T {
        let made: Result<&T, Infallible> = self.get_or_try_init(async || Ok(make().await)).await;
        match made {
            Ok(value) => value,
        }
    }

    /// Returns the value, and creates it with `make` if there is none.
    ///
    /// If another task is creating it, this waits for that task instead.
    ///
    /// `make` must not need the value of the same cell, because it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the dropped future was creating the value, the next waiter
    /// creates it.
    ///
    /// # Errors
    ///
    /// Returns an error if `make` does. There is no value then, and the next waiter
    /// creates it.
    pub async fn get_or_try_init<E, F>(&self, make: F) -> Result<&T, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
    {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        if self.semaphore.acquire(1).await.is_ok() {
            // If `make` fails, panics or is cancelled, the next task creates the value.
            let permit = RawPermit::new(&self.semaphore, 1);
            let value = make().await?;
            permit.forget();
            self.fill(value);
        }
        match self.value.get() {
            Some(value) => Ok(value),
            None => unreachable!("the semaphore is closed exactly if there is a value"),
        }
    }

    /// Consumes the cell and returns the value, if there is one.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out of the cell, and leaves the cell without one.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }

    /// Sets the value. The caller holds the permit.
    fn fill(&self, value: T) {
        if self.value.set(value).is_err() {
            unreachable!("only the holder of the permit sets the value (invariant 1)");
        }
        self.semaphore.close();
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
            semaphore: RawSemaphore::new(0),
        };
        cell.semaphore.close();
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell")
            .field("value", &self.get())
            .finish()
    }
}

/// The error of [`OnceCell::set`], which returns the value that was not set.
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// There was a value already.
    AlreadyInitializedError(T),
    /// A task is creating a value.
    InitializingError(T),
}

impl<T> SetError<T> {
    /// Returns whether there was a value already.
    #[must_use]
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, Self::AlreadyInitializedError(_))
    }

    /// Returns whether a task is creating a value.
    #[must_use]
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, Self::InitializingError(_))
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As tokio prints it.
        f.write_str(match self {
            Self::AlreadyInitializedError(_) => "AlreadyInitializedError",
            Self::InitializingError(_) => "InitializingError",
        })
    }
}

impl<T: fmt::Debug> Error for SetError<T> {}
