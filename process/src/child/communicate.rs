//! [`Communicate`]: input, output and end of a child, all at once.
//!
//! 1. What the child wrote before it ended is in the result, whichever way it ended:
//!    after the end, the pipes are read once more without asking the loop.
//! 2. No wait is without a bound once the child has ended or was killed.

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

/// How long others may hold the pipes of a child that has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// The future of [`Child::communicate`], and its options.
///
/// A child that closes its input early, or ends without reading it, is no error: what
/// is left of the input is dropped.
///
/// # Processes that hold the pipes
///
/// When the child has ended and processes that it has started still hold its output,
/// they are waited for as [`drain`](Communicate::drain) says, which is one second by
/// default; what they write later is lost. What the child itself wrote is read in any
/// case.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops the [`Child`] and what was read so far.
/// Set a [`timeout`](Communicate::timeout) instead, which keeps it.
///
/// # Panics
///
/// If it is polled outside a runtime while a time is measured, or after it was ready.
#[must_use = "nothing is sent or read unless this is awaited"]
#[derive(Debug)]
pub struct Communicate {
    /// `None` once it is over.
    child: Option<Child>,
    input: Vec<u8>,
    written: usize,
    stdout: Capture,
    stderr: Capture,
    status: Option<ExitStatus>,
    timeout: Option<Duration>,
    drain: Option<Duration>,
    phase: Phase,
}

/// What the clock is set for.
#[derive(Debug)]
enum Phase {
    /// The child runs. `None`: not polled yet, or no timeout.
    Running(Option<Sleep>),
    /// It was killed when its time was over. `None`: it is waited for however long.
    Killed(Option<Sleep>),
    /// It has ended, and others may still write.
    Draining(Sleep),
}

impl Communicate {
    pub(super) fn new(mut child: Child, input: Vec<u8>) -> Communicate {
        Communicate {
            stdout: Capture::new(child.stdout.take().map(|pipe| pipe.reader)),
            stderr: Capture::new(child.stderr.take().map(|pipe| pipe.reader)),
            child: Some(child),
            input,
            written: 0,
            status: None,
            timeout: None,
            drain: Some(DRAIN),
            phase: Phase::Running(None),
        }
    }

    /// Without input, and for as long as it takes.
    pub(super) fn without_bounds(child: Child) -> Communicate {
        let mut communicate = Communicate::new(child, Vec::new());
        communicate.drain = None;
        communicate
    }

    /// How long the child may take, counted from the first poll. Then it is killed, with
    /// its [group](super::Command::process_group) if it has one, and the error
    /// [is a timeout](CommunicateError::is_timeout) and keeps what was read.
    ///
    /// A child that has ended is in time, though others hold its pipes. A
    /// [clock that stands still](coreloop_runtime::time::pause) does not wait for
    /// processes: it jumps to the end of the time.
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
    /// println!("until then it said {:?}", error.stdout());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Communicate {
        self.timeout = Some(timeout);
        self
    }

    /// How long processes that the child has left behind may hold its pipes once it has
    /// ended: one second by default.
    ///
    /// It also is how long the end of a child is waited for that was killed.
    pub fn drain(mut self, drain: Duration) -> Communicate {
        self.drain = Some(drain);
        self
    }

    /// Ready when nothing more is to be waited for.
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

    /// Late when the time of the present phase has passed, and there is no next phase.
    fn check(&mut self, limit: &mut Limit, cx: &mut Context<'_>) -> io::Result<Verdict> {
        loop {
            let clock = match &mut self.phase {
                Phase::Running(_) if self.status.is_some() => {
                    let Some(drain) = self.drain else {
                        return Ok(Verdict::Wait);
                    };
                    self.phase = Phase::Draining(Limit::clock(drain));
                    continue;
                }
                Phase::Running(clock) => {
                    let Some(timeout) = self.timeout else {
                        return Ok(Verdict::Wait);
                    };
                    clock.get_or_insert_with(|| Limit::clock(timeout))
                }
                Phase::Killed(_) if self.status.is_some() => return Ok(Verdict::Late),
                Phase::Killed(None) => return Ok(Verdict::Wait),
                Phase::Killed(Some(clock)) | Phase::Draining(clock) => clock,
            };
            let verdict = limit.check(clock, cx);
            if verdict != Verdict::Late || !matches!(self.phase, Phase::Running(_)) {
                return Ok(verdict);
            }
            if let Some(child) = &mut self.child {
                child.kill_all()?;
            }
            self.phase = Phase::Killed(self.drain.map(Limit::clock));
        }
    }
}

/// Writes what is left of the input, and then closes the pipe.
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
        // Before anything else may go wrong: it kills the process, if it is to.
        this.child = None;
        let cause = match (result, &this.phase, this.status) {
            (Err(error), ..) => Cause::Failed(error),
            (Ok(()), Phase::Running(_) | Phase::Draining(_), Some(status)) => {
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

/// What was read of a pipe.
#[derive(Debug)]
struct Capture {
    /// `None` at its end, and if there was none.
    pipe: Option<Reader>,
    bytes: Vec<u8>,
}

impl Capture {
    fn new(pipe: Option<Reader>) -> Capture {
        Capture {
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

    /// All that came.
    fn finish(&mut self) -> Vec<u8> {
        if let Some(pipe) = self.pipe.take() {
            pipe.read_rest(&mut self.bytes);
        }
        mem::take(&mut self.bytes)
    }
}

/// Why [`Child::communicate`] has no [`Output`], and what was read until then.
///
/// It becomes an [`io::Error`] by `?`, of kind [`TimedOut`](io::ErrorKind::TimedOut) if
/// it is a timeout; that keeps this error as its source.
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
    /// Whether the child took too long, and so was killed. Else something failed, and
    /// the child was dropped: see [`Child`](Child#dropping-it).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::Timeout(_))
    }

    /// The status of the child, if it is known.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// What was read of the standard output.
    #[must_use]
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// What was read of the standard error.
    #[must_use]
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// What was read of the standard output and of the standard error.
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
    fn from(error: CommunicateError) -> io::Error {
        let kind = match &error.cause {
            Cause::Timeout(_) => io::ErrorKind::TimedOut,
            Cause::Failed(cause) => cause.kind(),
        };
        io::Error::new(kind, error)
    }
}
