//! [`Failure`], why a command failed, and the exit status that says so.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    path: PathBuf,
    step: Step,
    error: io::Error,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Connect,
    Answer,
}

impl Failure {
    pub(crate) fn new(path: &Path, step: Step, error: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            step,
            error,
        }
    }

    pub(crate) fn timed_out(path: &Path, limit: Duration) -> Self {
        let what = format!("no answer after {limit:?}");
        Self::new(
            path,
            Step::Answer,
            io::Error::new(ErrorKind::TimedOut, what),
        )
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match (self.step, self.error.kind()) {
            (_, ErrorKind::TimedOut) => 4,
            (
                Step::Connect,
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory,
            ) => 3,
            (_, ErrorKind::InvalidInput) => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        match (self.step, error.kind()) {
            // The words of the master, which stand for themselves.
            (Step::Answer, ErrorKind::Other) => error.fmt(f),
            (Step::Answer, ErrorKind::InvalidData) => {
                write!(f, "{path} is served by another program: {error}")
            }
            (Step::Answer, _) => write!(f, "{path}: {error}"),
            (Step::Connect, _) if self.exit_status() == 3 => {
                write!(f, "no master at {path}: {error}")
            }
            (Step::Connect, _) => write!(f, "cannot connect to {path}: {error}"),
        }
    }
}
