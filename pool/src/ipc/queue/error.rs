//! [`QueueError`] and [`SendError`].

use std::error::Error;
use std::fmt;

use crate::ipc::broker::BrokerError;
use crate::ipc::broker::protocol::{Answer, Status};

/// Why an operation on a [`Queue`](super::Queue) has failed.
///
/// The methods that begin with `is_` return whether it is a certain reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueError(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Broker(BrokerError),
    Full,
    Empty,
    Codec(String),
    Descriptors,
}

impl QueueError {
    pub(super) fn full() -> Self {
        Self(Reason::Full)
    }

    pub(super) fn empty() -> Self {
        Self(Reason::Empty)
    }

    pub(super) fn does_not_encode(text: &str) -> Self {
        Self(Reason::Codec(format!("the item does not encode: {text}")))
    }

    pub(super) fn does_not_decode(text: &str) -> Self {
        Self(Reason::Codec(format!("the item does not decode: {text}")))
    }

    pub(super) fn too_long(length: usize, limit: usize) -> Self {
        let text = format!("the item has {length} bytes, and at most {limit} are allowed");
        Self(Reason::Codec(text))
    }

    pub(super) fn lost_descriptors() -> Self {
        Self(Reason::Descriptors)
    }

    /// The error of an answer that is not the expected one.
    pub(super) fn of(answer: &Answer) -> Self {
        Self::from(match answer.status {
            Status::CLOSED => BrokerError::closed(),
            Status::WRONG_KIND => BrokerError::invalid(
                "the handle is of another kind than the object that it refers to",
            ),
            _ => crate::ipc::broker::error::garbled(),
        })
    }

    /// Returns whether the queue is closed, so that it accepts no item, or whether its owner has
    /// dropped it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(&self.0, Reason::Broker(error) if error.is_closed())
    }

    /// Returns whether there was no room, and the operation does not wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0 == Reason::Full
    }

    /// Returns whether there was no item, and the operation does not wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == Reason::Empty
    }

    /// Returns whether the time limit of the operation has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(&self.0, Reason::Broker(error) if error.is_timeout())
    }

    /// Returns whether the item could not be encoded or decoded, or is too long. It concerns this
    /// item only.
    #[must_use]
    pub fn is_codec(&self) -> bool {
        matches!(self.0, Reason::Codec(_))
    }

    /// Returns whether the item has lost its descriptors, because a process had no room for them.
    /// It concerns this item only.
    #[must_use]
    pub fn has_lost_descriptors(&self) -> bool {
        self.0 == Reason::Descriptors
    }

    /// Returns whether the connection to the process of the queue has ended, or could not be made.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(&self.0, Reason::Broker(error) if error.is_disconnected())
    }

    /// Returns whether a blocking operation would have blocked the very loop that carries the
    /// queue, so that it could never have completed.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        matches!(&self.0, Reason::Broker(error) if error.is_deadlock())
    }
}

impl From<BrokerError> for QueueError {
    fn from(error: BrokerError) -> Self {
        Self(Reason::Broker(error))
    }
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Broker(error) => error.fmt(f),
            Reason::Full => f.write_str("there is no room in the queue"),
            Reason::Empty => f.write_str("there is no item in the queue"),
            Reason::Codec(text) => f.write_str(text),
            Reason::Descriptors => f.write_str(
                "the item has lost its descriptors, because a process has no room for more (see \
                 `ulimit -n`)",
            ),
        }
    }
}

impl Error for QueueError {}

/// An item that was not sent, and why.
pub struct SendError<T> {
    value: T,
    error: QueueError,
}

impl<T> SendError<T> {
    pub(super) fn new(value: T, error: QueueError) -> Self {
        Self { value, error }
    }

    /// Returns the item.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Returns why it was not sent.
    pub fn error(&self) -> &QueueError {
        &self.error
    }

    /// Returns the item, and why it was not sent.
    pub fn into_parts(self) -> (T, QueueError) {
        (self.value, self.error)
    }
}

impl<T> From<SendError<T>> for QueueError {
    fn from(error: SendError<T>) -> Self {
        error.error
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendError").field(&self.error).finish()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> Error for SendError<T> {}
