//! The errors of pipes and channels.

use std::fmt;
use std::io::{self, ErrorKind};

/// The error of a `try_send`.
pub enum TrySendError<T> {
    /// There is no room for the value now.
    Full(T),
    /// The value cannot be sent: it does not encode, it is too long, or the other end is
    /// closed.
    Failed(io::Error),
}

impl<T> TrySendError<T> {
    /// Returns whether there was no room for the value.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

impl<T> From<TrySendError<T>> for io::Error {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => ErrorKind::WouldBlock.into(),
            TrySendError::Failed(error) => error,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("there is no room for the value"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> std::error::Error for TrySendError<T> {}

pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

pub(super) fn too_long(length: usize, max: usize) -> io::Error {
    invalid(&format!(
        "the value has {length} bytes, and at most {max} are allowed"
    ))
}

pub(super) fn too_long_to_receive(length: u64, max: usize) -> io::Error {
    let text = format!("the received value has {length} bytes, and at most {max} are allowed");
    io::Error::new(ErrorKind::InvalidData, text)
}

pub(super) fn does_not_encode(text: &str) -> io::Error {
    invalid(&format!("the value does not encode: {text}"))
}

pub(super) fn does_not_decode(text: &str) -> io::Error {
    let text = format!("a value does not decode: {text}");
    io::Error::new(ErrorKind::InvalidData, text)
}

pub(super) fn ended_in_message() -> io::Error {
    let text = "the other end was closed in the middle of a value";
    io::Error::new(ErrorKind::UnexpectedEof, text)
}
