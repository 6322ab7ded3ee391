//! [`Communicate`] writes a child's input, reads its output and waits for its end, all
//! at once.
//!
//! 1. The result holds all that the child wrote before it ended, whichever way it ended:
//!    after the end, the pipes are read once more without waiting for readiness.
//! 2. Once the child has ended or was killed, every wait has a limit.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::process::{ExitStatus, Output};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::time::{Limit, Sleep, Verdict};

use super::pipes::Reader;
use super::{Child, ChildStdin};

/// How long other processes may hold the pipes of a child that has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// A future that exchanges data with a child, returned by [`Child::communicate`].
///
/// Its methods set options.
///
/// It is no error if a child closes its input early, or ends without reading it: the rest
/// of the input is dropped.
///
/// # Processes that hold the pipes
///
/// If the child has ended but processes that it started still hold its output pipes, the
/// future waits for them for the time set by [`drain`](Communicate::drain), which is one
/// second by default. What they write later is lost. What the child itself wrote is read
/// in any case.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the [`Child`] and the output read so far.
/// Set a [`timeout`](Communicate::timeout) instead, whose error keeps that output.
///
/// # Panics
///
/// Panics if it is polled outside a runtime while a time limit runs, or after it was
/// ready.
#[must_use = "nothing is sent or read unless this is awaited"]
#[derive(Debug)]
pub struct Communicate {
    /// `None` once the future has finished.
    child: Option<Child>,
    input: Vec<u8>,
    written: usize,
    stdout: Capture,
    stderr: Capture,
    status: Option<ExitStatus>,
    timeout: Option<Duration>,
    drain: Option<Duration>,
    phase: CommunicatePhase,
}

/// What the exchange waits for, and the timer that limits the wait.
#[derive(Debug)]
enum CommunicatePhase {
    /// The child runs. `None` before the first poll, and without a timeout.
    Running(Option<Sleep>),
    /// The child was killed at its timeout. `None` if the wait for its end has no limit.
    Killed(Option<Sleep>),
    /// The child has ended, and other processes may still write.
    Draining(Sleep),
}

impl Communicate {
    pub(super) fn new(mut child: Child, input: Vec<u8>) -> Self {
        Self {
            stdout: Capture::new(child.stdout.take().map(|pipe| pipe.reader)),
            stderr: Capture::new(child.stderr.take().map(|pipe| pipe.reader)),
            child: Some(child),
            input,
            written: 0,
            status: None,
            timeout: None,
            drain: Some(DRAIN),
            phase: CommunicatePhase::Running(None),
        }
    }

    /// Sends no input, and waits for the pipes without a limit.
    pub(super) fn without_bounds(child: Child) -> Self {
        let mut communicate = Self::new(child, Vec::new());
        communicate.drain = None;
        communicate
    }

    /// Sets how long the child may run, counted from the first poll. After that time it is
    /// killed, with its [group](super::Command::process_group) if it has one, and the error
    /// [is a timeout](CommunicateError::is_timeout) and keeps the output read so far.
    ///
    /// A child that has ended is in time, even if other processes hold its pipes. A
    /// [paused clock](coreloop_runtime::time::pause) does not wait for processes: it jumps
    /// to the timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use coreloop::process::{Command, Stdio};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let child = Command::new("sh")
    ///     .args(["-c", "echo begun; exec sleep 1000"])
    ///     .stdout(Stdio::piped())
    ///     .spawn()?;
    /// let second = Duration::from_secs(1);
    /// let error = child.communicate("").timeout(second).await.unwrap_err();
    /// assert!(error.is_timeout());
    /// println!("it wrote {:?} until then", error.stdout());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long processes that the child has left behind may hold its pipes once it
    /// has ended: one second by default.
    ///
    /// This also limits the wait for the end of a child that was killed.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// Ready when there is nothing left to wait for.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut limit = Limit::before_poll();
        loop {
            let child = self.child.as_mut().expect("polled after it was ready");
            feed(child, &self.input, &mut self.written, cx)?;
            if self.status.is_none()
                && let Poll::Ready(status) = child.poll_wait(cx)
            {
                self.status = Some(status?);
            }
            let stdout = self.stdout.poll(cx)?;
            let stderr = self.stderr.poll(cx)?;
            if self.status.is_some() && stdout.is_ready() && stderr.is_ready() {
                return Poll::Ready(Ok(()));
            }
            match self.check(&mut limit, cx)? {
                Verdict::Wait => return Poll::Pending,
                Verdict::Late => return Poll::Ready(Ok(())),
                Verdict::PollAgain => {}
            }
        }
    }

    /// Returns `Late` if the time of the current phase has passed and no phase follows.
    fn check(&mut self, limit: &mut Limit, cx: &mut Context<'_>) -> io::Result<Verdict> {
        loop {
            let clock = match &mut self.phase {
                CommunicatePhase::Running(_) if self.status.is_some() => {
                    let Some(drain) = self.drain else {
                        return Ok(Verdict::Wait);
                    };
                    self.phase = CommunicatePhase::Draining(Limit::clock(drain));
                    continue;
                }
                CommunicatePhase::Running(clock) => {
                    let Some(timeout) = self.timeout else {
                        return Ok(Verdict::Wait);
                    };
                    clock.get_or_insert_with(|| Limit::clock(timeout))
                }
                CommunicatePhase::Killed(_) if self.status.is_some() => return Ok(Verdict::Late),
                CommunicatePhase::Killed(None) => return Ok(Verdict::Wait),
                CommunicatePhase::Killed(Some(clock)) | CommunicatePhase::Draining(clock) => clock,
            };
            let verdict = limit.check(clock, cx);
            if verdict != Verdict::Late || !matches!(self.phase, CommunicatePhase::Running(_)) {
                return Ok(verdict);
            }
            if let Some(child) = &mut self.child {
                child.kill_all()?;
            }
            self.phase = CommunicatePhase::Killed(self.drain.map(Limit::clock));
        }
    }
}

/// Writes the rest of the input, and then closes the pipe.
fn feed(
    child: &mut Child,
    input: &[u8],
    written: &mut usize,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    let Some(stdin) = &child.stdin else {
        if *written < input.len() {
            let what = "there is input for a child whose standard input is no pipe";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        return Ok(());
    };
    while *written < input.len() {
        match ChildStdin::poll_write_some(stdin, cx, &input[*written..]) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(count)) => *written += count,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                *written = input.len();
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    child.stdin = None;
    Ok(())
}

impl Future for Communicate {
    type Output = Result<Output, CommunicateError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let result = ready!(this.poll_exchange(cx));
        let stdout = this.stdout.finish();
        let stderr = this.stderr.finish();
        // Dropped before anything else can fail: this kills a child that is killed on drop.
        this.child = None;
        let cause = match (result, &this.phase, this.status) {
            (Err(error), ..) => Cause::Failed(error),
            (
                Ok(()),
                CommunicatePhase::Running(_) | CommunicatePhase::Draining(_),
                Some(status),
            ) => {
                return Poll::Ready(Ok(Output {
                    status,
                    stdout,
                    stderr,
                }));
            }
            (Ok(()), ..) => Cause::Timeout(this.timeout.unwrap_or_default()),
        };
        Poll::Ready(Err(CommunicateError {
            cause,
            status: this.status,
            stdout,
            stderr,
        }))
    }
}

/// A pipe, and what was read from it.
#[derive(Debug)]
struct Capture {
    /// `None` at the end of the pipe, and if there was no pipe.
    pipe: Option<Reader>,
    bytes: Vec<u8>,
}

impl Capture {
    fn new(pipe: Option<Reader>) -> Self {
        Self {
            pipe,
            bytes: Vec::new(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(pipe) = &self.pipe {
            ready!(pipe.poll_read_to_end(cx, &mut self.bytes))?;
            self.pipe = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what is left in the pipe, and returns everything that was read.
    fn finish(&mut self) -> Vec<u8> {
        if let Some(pipe) = self.pipe.take() {
            pipe.read_rest(&mut self.bytes);
        }
        mem::take(&mut self.bytes)
    }
}

/// The error of [`Child::communicate`], which keeps the output read so far.
///
/// `?` converts it into an [`io::Error`], of kind [`TimedOut`](io::ErrorKind::TimedOut) if
/// it is a timeout. That error has this one as its source.
#[derive(Debug)]
pub struct CommunicateError {
    cause: Cause,
    status: Option<ExitStatus>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[derive(Debug)]
enum Cause {
    Timeout(Duration),
    Failed(io::Error),
}

impl CommunicateError {
    /// Returns whether the child took too long and was killed. If not, an operation failed,
    /// and the child was dropped: see [`Child`](Child#dropping-it).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::Timeout(_))
    }

    /// Returns the status of the child, if it is known.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Returns what was read from the standard output.
    #[must_use]
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// Returns what was read from the standard error.
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// Returns what was read from the standard output and from the standard error.
    #[must_use]
    pub fn into_output(self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout, self.stderr)
    }
}

impl fmt::Display for CommunicateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Timeout(timeout) => {
                write!(
                    f,
                    "the child was killed, as it took longer than {timeout:?}"
                )
            }
            Cause::Failed(error) => write!(f, "cannot communicate with the child: {error}"),
        }
    }
}

impl Error for CommunicateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Timeout(_) => None,
            Cause::Failed(error) => Some(error),
        }
    }
}

impl From<CommunicateError> for io::Error {
    fn from(error: CommunicateError) -> Self {
        let kind = match &error.cause {
            Cause::Timeout(_) => io::ErrorKind::TimedOut,
            Cause::Failed(cause) => cause.kind(),
        };
        Self::new(kind, error)
    }
}
