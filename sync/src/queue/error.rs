//! Why an item was not put or got.

use std::error::Error;
use std::fmt;

/// The queue is shut down; with the item that was to be put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutError<T>(pub T);

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PutError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("queue shut down")
    }
}

impl<T> Error for PutError<T> {}

/// An item could not be put without waiting, and is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// The queue has no room now.
    Full(T),
    /// The queue is shut down.
    ShutDown(T),
}

impl<T> TryPutError<T> {
    /// The item that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "queue full",
            Self::ShutDown(_) => "queue shut down",
        })
    }
}

impl<T> Error for TryPutError<T> {}

/// The queue is empty and shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetError(pub(super) ());

impl fmt::Display for GetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("queue shut down")
    }
}

impl Error for GetError {}

/// No item could be got without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryGetError {
    /// There is none now, or it is promised to a task that waits.
    Empty,
    /// There is none, and the queue is shut down.
    ShutDown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "queue empty",
            Self::ShutDown => "queue shut down",
        })
    }
}

impl Error for TryGetError {}
