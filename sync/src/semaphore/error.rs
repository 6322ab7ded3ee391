//! Why there is no permit.

use std::error::Error;
use std::fmt;

use crate::permits::{Closed, Refused};

/// The semaphore is closed: the error of
/// [`Semaphore::acquire`](super::Semaphore::acquire).
#[derive(Debug)]
pub struct AcquireError(());

/// The error of [`Semaphore::try_acquire`](super::Semaphore::try_acquire).
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// Too few permits are free.
    NoPermits,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("semaphore closed")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TryAcquireError::Closed => "semaphore closed",
            TryAcquireError::NoPermits => "no permits available",
        })
    }
}

impl Error for AcquireError {}

impl Error for TryAcquireError {}

impl From<Closed> for AcquireError {
    fn from(Closed: Closed) -> Self {
        AcquireError(())
    }
}

impl From<Refused> for TryAcquireError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => TryAcquireError::Closed,
            Refused::Unavailable => TryAcquireError::NoPermits,
        }
    }
}
