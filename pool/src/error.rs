//! [`JobError`], why a job has no result.

use std::error::Error;
use std::fmt;
use std::process::ExitStatus;

/// The reason why a job has no result.
///
/// The methods that begin with `is_` return whether it is a certain reason. If the function
/// itself returns an `Err`, that is its result, and no `JobError`.
#[derive(Clone)]
pub struct JobError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    job: Option<&'static str>,
    worker: Option<u32>,
    status: Option<ExitStatus>,
    attempts: u32,
    has_started: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The function panicked, with this message and place.
    Panic(String),
    /// The worker ended while the job ran. The text is the cause, if it is known.
    BrokenWorker(Option<String>),
    Timeout,
    Cancelled,
    /// Arguments or results could not be encoded or decoded, or are too long.
    Codec(String),
    /// The text says what to do.
    NotRegistered(String),
    ShutDown,
    /// The initializer failed, or workers could not be started or ended before they were
    /// ready.
    Initializer(String),
}

impl JobError {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            job: None,
            worker: None,
            status: None,
            attempts: 0,
            has_started: false,
        }))
    }

    pub(crate) fn of_job(mut self, name: &'static str) -> Self {
        self.0.job = Some(name);
        self
    }

    /// Records that the job has started, the process id of its worker, and how often it has
    /// started.
    pub(crate) fn started(mut self, worker: Option<u32>, attempts: u32) -> Self {
        self.0.worker = worker;
        self.0.attempts = attempts;
        self.0.has_started = true;
        self
    }

    pub(crate) fn on_worker(mut self, worker: Option<u32>) -> Self {
        self.0.worker = worker;
        self
    }

    pub(crate) fn ended_with(mut self, status: Option<ExitStatus>) -> Self {
        self.0.status = status;
        self
    }

    /// Returns whether the function panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Panic(_))
    }

    /// Returns whether the worker ended while the job ran, so that it is not known how far
    /// the job came.
    ///
    /// The process was killed, crashed, or called [`exit`](std::process::exit):
    /// [`exit_status`](JobError::exit_status) says which. A job that only waited in such a
    /// worker does not fail; it runs in another one. Only a [`Process`](crate::Process) has no
    /// other worker: its job fails with this error even if it had not started.
    #[must_use]
    pub fn is_broken_worker(&self) -> bool {
        matches!(self.0.kind, ErrorKind::BrokenWorker(_))
    }

    /// Returns whether the time limit of the job has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Returns whether the job was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Returns whether arguments or a result could not be encoded or decoded, or are longer
    /// than the pool allows.
    #[must_use]
    pub fn is_codec(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Codec(_))
    }

    /// Returns whether the function is not registered as a job.
    #[must_use]
    pub fn is_not_registered(&self) -> bool {
        matches!(self.0.kind, ErrorKind::NotRegistered(_))
    }

    /// Returns whether the pool was closed, shut down or dropped, or its runtime has ended,
    /// before the job had a result.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.0.kind == ErrorKind::ShutDown
    }

    /// Returns whether no worker became ready: the initializer failed, or workers could not
    /// be started, or ended before they were ready.
    #[must_use]
    pub fn is_initializer(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Initializer(_))
    }

    /// Returns whether the job had started: a worker had begun to decode its arguments, and may
    /// have called the function.
    ///
    /// A job that had not started had no effect, and can be submitted again.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.0.has_started
    }

    /// Returns how many times the job was started.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Returns how the worker ended, if it ended while the job ran.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.0.status
    }

    /// Returns the process id of the worker that ran the job last; `None` if no process ran it,
    /// or if it is not known which one did.
    #[must_use]
    pub fn worker_pid(&self) -> Option<u32> {
        self.0.worker
    }

    /// Returns the name under which the function is registered, if it is.
    #[must_use]
    pub fn job_name(&self) -> Option<&str> {
        self.0.job
    }

    /// Returns the message of the panic, if the function panicked. If it ran in a process, the
    /// message has the place of the panic.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        match &self.0.kind {
            ErrorKind::Panic(message) => Some(message),
            _ => None,
        }
    }

    /// Returns the message of the panic, like [`panic_message`](JobError::panic_message).
    ///
    /// # Errors
    ///
    /// Returns the error itself if the function did not panic.
    pub fn into_panic_message(self) -> Result<String, Self> {
        match self.0.kind {
            ErrorKind::Panic(message) => Ok(message),
            _ => Err(self),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match &inner.job {
            Some(name) => write!(f, "the job `{name}` ")?,
            None => write!(f, "the job ")?,
        }
        match &inner.kind {
            ErrorKind::Panic(message) => write!(f, "panicked: {message}")?,
            ErrorKind::BrokenWorker(detail) => {
                let when = if inner.has_started {
                    "while it ran"
                } else {
                    "before it started"
                };
                write!(f, "has no result, because its worker ended {when}")?;
                if let Some(detail) = detail {
                    write!(f, ": {detail}")?;
                }
            }
            ErrorKind::Timeout => write!(f, "took longer than its time limit")?,
            ErrorKind::Cancelled => write!(f, "was cancelled")?,
            ErrorKind::Codec(detail) => write!(f, "could not pass a value: {detail}")?,
            ErrorKind::NotRegistered(detail) => write!(f, "is not registered: {detail}")?,
            ErrorKind::ShutDown => write!(f, "has no result, because the pool is closed")?,
            ErrorKind::Initializer(detail) => {
                write!(f, "has no worker, because none became ready: {detail}")?;
            }
        }
        if let Some(pid) = inner.worker {
            write!(f, " (worker {pid}")?;
            if let Some(status) = inner.status {
                write!(f, ", {status}")?;
            }
            if inner.attempts > 1 {
                write!(f, ", attempt {}", inner.attempts)?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobError")
            .field("kind", &self.0.kind)
            .field("job", &self.0.job)
            .field("worker", &self.0.worker)
            .field("status", &self.0.status)
            .field("attempts", &self.0.attempts)
            .field("has_started", &self.0.has_started)
            .finish()
    }
}

impl Error for JobError {}
