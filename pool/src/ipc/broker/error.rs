//! [`BrokerError`], why an operation on an object of a broker has failed.

use std::error::Error;
use std::fmt;
use std::io;

use super::protocol::{Answer, Status};

/// The reason why an operation on an [`Event`](super::super::Event), a
/// [`Semaphore`](super::super::Semaphore), a [`Mutex`](super::super::Mutex) or a
/// [`Barrier`](super::super::Barrier) has failed.
///
/// The methods that begin with `is_` return whether it is a certain reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerError(Reason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Closed,
    Disconnected(String),
    Timeout,
    WouldDeadlock,
    Invalid(&'static str),
    Failed(String),
}

impl BrokerError {
    pub(crate) fn closed() -> Self {
        Self(Reason::Closed)
    }

    pub(crate) fn disconnected(why: impl Into<String>) -> Self {
        Self(Reason::Disconnected(why.into()))
    }

    /// The error of a copy of the process.
    pub(crate) fn forked() -> Self {
        Self::disconnected("this process is a copy by `fork` of the one that has connected")
    }

    pub(crate) fn timeout() -> Self {
        Self(Reason::Timeout)
    }

    pub(crate) fn would_deadlock() -> Self {
        Self(Reason::WouldDeadlock)
    }

    pub(crate) fn invalid(why: &'static str) -> Self {
        Self(Reason::Invalid(why))
    }

    /// An error of the system that leaves the object as it is.
    pub(crate) fn failed(what: &str, error: &io::Error) -> Self {
        Self(Reason::Failed(format!("{what}: {error}")))
    }

    /// Returns whether the object was closed, or its owner has dropped it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0 == Reason::Closed
    }

    /// Returns whether the connection to the process of the object has ended, or could not be
    /// made. Mostly that process has ended, or the loop on which the object was created.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(self.0, Reason::Disconnected(_))
    }

    /// Returns whether the time limit of the operation has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0 == Reason::Timeout
    }

    /// Returns whether a blocking operation would have blocked the very loop that carries the
    /// object, so that it could never have completed.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        self.0 == Reason::WouldDeadlock
    }
}

/// Returns an answer that is no error and not [`Status::UNAVAILABLE`].
pub(crate) fn done(answer: Answer) -> Result<Answer, BrokerError> {
    match available(answer)? {
        Some(answer) => Ok(answer),
        None => Err(garbled()),
    }
}

/// Returns an answer that is no error; `None` if it is [`Status::UNAVAILABLE`].
pub(crate) fn available(answer: Answer) -> Result<Option<Answer>, BrokerError> {
    match answer.status {
        Status::DONE => Ok(Some(answer)),
        Status::UNAVAILABLE => Ok(None),
        Status::CLOSED => Err(BrokerError::closed()),
        Status::WRONG_KIND => Err(BrokerError::invalid(
            "the handle is of another kind than the object that it refers to",
        )),
        Status::REFUSED => Err(BrokerError::invalid(
            "the object belongs to processes of another pool or program",
        )),
        Status::OUT_OF_RANGE => Err(BrokerError::invalid("the number is too large")),
        _ => Err(garbled()),
    }
}

/// The error of an answer that a process of the family would have signed.
pub(crate) fn unproved() -> BrokerError {
    BrokerError::disconnected(
        "another program has taken its address, so the process of the object has ended",
    )
}

/// The error of an answer that this version does not understand.
pub(crate) fn garbled() -> BrokerError {
    BrokerError::disconnected("the answer is not one that this version understands")
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Closed => f.write_str("the object is closed, or its owner has dropped it"),
            Reason::Disconnected(why) => {
                write!(f, "no connection to the process of the object: {why}")
            }
            Reason::Timeout => f.write_str("the time limit has passed"),
            Reason::WouldDeadlock => f.write_str(
                "a blocking operation would block the loop that carries the object, for ever; \
                 use the async operation on this thread",
            ),
            Reason::Invalid(why) => f.write_str(why),
            Reason::Failed(what) => f.write_str(what),
        }
    }
}

impl Error for BrokerError {}

impl From<BrokerError> for io::Error {
    fn from(error: BrokerError) -> Self {
        let kind = match error.0 {
            Reason::Closed | Reason::Disconnected(_) => io::ErrorKind::NotConnected,
            Reason::Timeout => io::ErrorKind::TimedOut,
            Reason::WouldDeadlock => io::ErrorKind::Deadlock,
            Reason::Invalid(_) => io::ErrorKind::InvalidInput,
            Reason::Failed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
