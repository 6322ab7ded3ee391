//! [`Refusal`]: why a pool did not run a job.

use std::fmt;

/// The reason why a pool did not run a job, apart from a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No thread could be started. The text is the error of the system.
    NoThread(String),
    /// The function that each new thread calls has failed. The text is its error, or the
    /// message of its panic.
    Initializer(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread(error) => {
                write!(f, "cannot start a thread for blocking work: {error}")
            }
            Self::Initializer(error) => write!(f, "the initializer of a thread failed: {error}"),
        }
    }
}
