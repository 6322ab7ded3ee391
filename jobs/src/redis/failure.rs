//! [`Failure`], why a command failed, as far as its caller does different things.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::{Error, Kind};

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection failed: another one may succeed, and the server may have run the command.
    Connection(io::Error),
    /// The server will answer later, and has not run the command.
    Busy(RedisError),
    /// The server has no script with this hash.
    NoScript,
    /// The stream or its group of workers does not exist.
    NoGroup,
    /// The server does not let this user in, or has no user of this name.
    Login(RedisError),
    /// The server refused the command.
    Server(RedisError),
    /// The answer is not what the command returns.
    Other(Error),
}

impl Failure {
    /// Returns whether a later attempt, on another connection, may succeed.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Busy(_))
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let kind = error.kind();
        match error.code() {
            Some("NOGROUP") => return Self::NoGroup,
            Some("NOAUTH" | "WRONGPASS") => return Self::Login(error),
            // A primary that becomes a replica ends the reads that block by `UNBLOCKED`.
            Some("BUSY" | "MASTERDOWN" | "READONLY" | "UNBLOCKED") => return Self::Busy(error),
            _ => {}
        }
        match kind {
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NoScript,
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => Self::Busy(error),
            ErrorKind::AuthenticationFailed => Self::Login(error),
            ErrorKind::Io | ErrorKind::Parse => Self::Connection(io::Error::other(error)),
            _ => Self::Server(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connection(error) => Self::new(
                Kind::Io(error.kind()),
                format!("Redis: the connection failed: {error}"),
            ),
            Failure::Login(error) => Self::new(
                Kind::Refused,
                format!("Redis: the server refuses this user or password: {error}"),
            ),
            Failure::Busy(error) | Failure::Server(error) => {
                Self::new(Kind::Engine, format!("Redis: {error}"))
            }
            Failure::Other(error) => error,
            Failure::NoScript => Self::new(Kind::Engine, "Redis: the server does not keep scripts"),
            Failure::NoGroup => Self::new(Kind::Engine, "Redis: the group of workers has vanished"),
        }
    }
}
