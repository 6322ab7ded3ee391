//! Why a value was not sent or received.

use std::error::Error;
use std::fmt;

/// There is no receiver; with the value that was to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("channel closed")
    }
}

impl<T: fmt::Debug> Error for SendError<T> {}

/// Why no value was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone, and everything was received.
    Closed,
    /// The receiver fell behind and missed so many values. It goes on with the
    /// oldest that is kept.
    Lagged(u64),
}

impl fmt::Display for RecvError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("channel closed"),
            Self::Lagged(missed) => write!(formatter, "channel lagged by {missed}"),
        }
    }
}

impl Error for RecvError {}

/// Why no value was received without waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Everything was received; more may be sent.
    Empty,
    /// All senders are gone, and everything was received.
    Closed,
    /// The receiver fell behind and missed so many values. It goes on with the
    /// oldest that is kept.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("channel empty"),
            Self::Closed => formatter.write_str("channel closed"),
            Self::Lagged(missed) => write!(formatter, "channel lagged by {missed}"),
        }
    }
}

impl Error for TryRecvError {}
