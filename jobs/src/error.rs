//! [`Error`], why an operation of a manager or of a job queue failed.

use std::fmt;
use std::io;

/// Why an operation of a manager or of a job queue failed.
///
/// Each method that begins with `is_` returns whether the error has a certain reason. The text is
/// for people, and may change.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A system call or the connection failed.
    Io(io::ErrorKind),
    /// The peer does not have the key, or sent what the protocol does not allow.
    Refused,
    /// A value does not encode or decode, or is too long.
    Codec,
    /// A deadline has passed.
    TimedOut,
    /// The engine answered with an error.
    Engine,
    /// The queue, the manager or the service was closed, or does not exist.
    Closed,
    /// There is no job of this id, or its outcome was removed.
    Unknown,
    /// The job is among the dead letters.
    Dead,
    /// A setting is wrong, such as a short key.
    Invalid,
    /// The handler of a service returned an error.
    Service,
    /// The handler of a service panicked.
    Panicked,
    /// The connection was lost before the answer came, so that it is not known whether the
    /// request was carried out.
    Lost,
}

impl Error {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether a deadline has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// Returns whether a value did not encode or decode, or was too long.
    #[must_use]
    pub fn is_codec(&self) -> bool {
        self.kind == Kind::Codec
    }

    /// Returns whether the job whose result was asked for is dead: all its attempts have failed,
    /// and it is among the [dead letters](crate::Queue::dead_letters). The text of the error is
    /// the reason of the last attempt.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.kind == Kind::Dead
    }

    /// Returns whether there is no job of the id that was asked for: it never was in this queue,
    /// or it ended more than a day ago, or the system that kept it has lost it.
    #[must_use]
    pub fn is_unknown_job(&self) -> bool {
        self.kind == Kind::Unknown
    }

    /// Returns whether the queue, the manager or the service was closed, or does not exist.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// Returns whether the handler of a service has returned this error.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.kind == Kind::Service
    }

    /// Returns whether the handler of a service has panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.kind == Kind::Panicked
    }

    /// Returns whether the connection was lost before the answer came, and the manager does not
    /// know the client any more: the request may have been carried out.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.kind == Kind::Lost
    }

    /// Returns whether the peer refused the connection, because the two have different keys or
    /// speak different protocols.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::new(Kind::Io(error.kind()), error.to_string())
    }
}

/// For programs whose `main` returns an [`io::Result`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            Kind::Io(kind) => kind,
            Kind::TimedOut => io::ErrorKind::TimedOut,
            Kind::Refused => io::ErrorKind::PermissionDenied,
            Kind::Codec => io::ErrorKind::InvalidData,
            Kind::Invalid => io::ErrorKind::InvalidInput,
            Kind::Lost => io::ErrorKind::ConnectionReset,
            Kind::Engine
            | Kind::Closed
            | Kind::Unknown
            | Kind::Dead
            | Kind::Service
            | Kind::Panicked => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
