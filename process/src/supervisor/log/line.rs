//! [`LogLine`], a line of a log with its origin.

use std::process;
use std::time::SystemTime;

/// A line of a [`Log`](super::Log), as its [hook](super::Log::hook) gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine<'a> {
    /// When the master read the line, or when its event happened.
    pub time: SystemTime,
    /// The name of the program, as [`Supervisor::name`](crate::Supervisor::name) sets it.
    pub program: &'a str,
    /// The slot of the worker that wrote the line, or that the master's event is about, if it
    /// is about one.
    pub slot: Option<u32>,
    /// The process that wrote the line: a worker, or the master.
    pub pid: u32,
    /// The process of the worker that the master's event is about, if there is one.
    pub worker: Option<u32>,
    /// Where the line was written.
    pub stream: LogStream,
    /// The kind of the master's event, such as "ready", as in the JSON form; `None` for a line
    /// of a worker.
    pub event: Option<&'a str>,
    /// Whether the line is of the master, and reports that something failed.
    pub is_failure: bool,
    /// The text, without a line end. A line of a worker may have any bytes. The text of an
    /// event may have several lines, for example if a worker panicked.
    pub message: &'a [u8],
}

impl LogLine<'_> {
    /// Returns an empty line of the master that runs in this process. It does not name the
    /// program: the writer of a log knows it.
    pub(in crate::supervisor) fn of_master(time: SystemTime) -> Self {
        Self {
            time,
            program: "",
            slot: None,
            pid: process::id(),
            worker: None,
            stream: LogStream::Master,
            event: None,
            is_failure: false,
            message: b"",
        }
    }
}

/// The origin of a [`LogLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogStream {
    /// The standard output of a worker.
    Stdout,
    /// The standard error of a worker.
    Stderr,
    /// The master, which reports its events.
    Master,
}

impl LogStream {
    /// Returns the name that the JSON form has: "stdout", "stderr" or "master".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Master => "master",
        }
    }
}
