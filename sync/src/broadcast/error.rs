//! Errors of broadcast channels.

use std::error::Error;
use std::fmt;

/// The error of a send without a receiver, which returns the value.
#[derive(Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("channel closed")
    }
}

impl<T: fmt::Debug> Error for SendError<T> {}

/// The error of `recv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders were dropped, and all values were received.
    Closed,
    /// The receiver fell behind and missed this number of values. It continues with
    /// the oldest value that is kept.
    Lagged(u64),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => write!(f, "channel lagged by {missed}"),
        }
    }
}

impl Error for RecvError {}

/// The error of `try_recv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// All values were received; more may be sent.
    Empty,
    /// All senders were dropped, and all values were received.
    Closed,
    /// The receiver fell behind and missed this number of values. It continues with
    /// the oldest value that is kept.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("channel empty"),
            Self::Closed => f.write_str("channel closed"),
            Self::Lagged(missed) => write!(f, "channel lagged by {missed}"),
        }
    }
}

impl Error for TryRecvError {}
