//! The errors of a semaphore.

use std::error::Error;
use std::fmt;

use crate::raw_semaphore::{Closed, Refused};

/// The error of [`Semaphore::acquire`](super::Semaphore::acquire): the semaphore is
/// closed.
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("semaphore closed")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "semaphore closed",
            Self::NoPermits => "no permits available",
        })
    }
}

impl Error for AcquireError {}

impl Error for TryAcquireError {}

impl From<Closed> for AcquireError {
    fn from(Closed: Closed) -> Self {
        Self(())
    }
}

impl From<Refused> for TryAcquireError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => Self::Closed,
            Refused::Unavailable => Self::NoPermits,
        }
    }
}
