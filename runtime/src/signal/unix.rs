//! [`Signal`]: a listener for one kind of signal.
//!
//! The signal handler comes from the `signal-hook` crate. Each listener has a pipe: the
//! handler writes a byte to one end, and the loop waits for the other. So listeners, loops
//! and threads share nothing.

use std::ffi::c_int;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use signal_hook::SigId;
use signal_hook::consts;
use signal_hook::low_level;

use crate::engine::sys;
use crate::io::descriptor::Async;

/// The size of the read buffer: more bytes than a pipe usually holds.
const BUFFER: usize = 64;

/// A kind of signal.
///
/// # Examples
///
/// ```
/// use coreloop::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::hangup(), SignalKind::from_raw(1));
/// ```
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub struct SignalKind(c_int);

impl SignalKind {
    /// Returns the signal with this number, which need not be one that the functions
    /// below name.
    #[must_use]
    pub const fn from_raw(number: c_int) -> Self {
        Self(number)
    }

    /// Returns the number of the signal.
    #[must_use]
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// `SIGALRM`: a timer of the system has expired. Ends the process by default.
    #[must_use]
    pub const fn alarm() -> Self {
        Self(consts::SIGALRM)
    }

    /// `SIGCHLD`: a child process has changed its state. Ignored by default.
    #[must_use]
    pub const fn child() -> Self {
        Self(consts::SIGCHLD)
    }

    /// `SIGHUP`: the terminal was closed, or, by convention, a server should read its
    /// configuration again. Ends the process by default.
    #[must_use]
    pub const fn hangup() -> Self {
        Self(consts::SIGHUP)
    }

    /// `SIGINFO`: a status report is requested. Ignored by default.
    #[cfg(any(
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    #[must_use]
    pub const fn info() -> Self {
        Self(consts::SIGINFO)
    }

    /// `SIGINT`: Ctrl-C was pressed. Ends the process by default.
    #[must_use]
    pub const fn interrupt() -> Self {
        Self(consts::SIGINT)
    }

    /// `SIGIO`: a descriptor is ready. The default action depends on the system.
    #[must_use]
    pub const fn io() -> Self {
        Self(consts::SIGIO)
    }

    /// `SIGPIPE`: the process wrote to a pipe that has no reader. Rust programs ignore it
    /// by default.
    #[must_use]
    pub const fn pipe() -> Self {
        Self(consts::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\\ was pressed. Ends the process by default, with a core dump.
    #[must_use]
    pub const fn quit() -> Self {
        Self(consts::SIGQUIT)
    }

    /// `SIGTERM`: a request to end the process. Ends the process by default.
    #[must_use]
    pub const fn terminate() -> Self {
        Self(consts::SIGTERM)
    }

    /// `SIGUSR1`: has the meaning that the program defines. Ends the process by default.
    #[must_use]
    pub const fn user_defined1() -> Self {
        Self(consts::SIGUSR1)
    }

    /// `SIGUSR2`: has the meaning that the program defines. Ends the process by default.
    #[must_use]
    pub const fn user_defined2() -> Self {
        Self(consts::SIGUSR2)
    }

    /// `SIGWINCH`: the size of the terminal has changed. Ignored by default.
    #[must_use]
    pub const fn window_change() -> Self {
        Self(consts::SIGWINCH)
    }
}

impl From<c_int> for SignalKind {
    fn from(number: c_int) -> Self {
        Self(number)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

/// Starts to listen for a kind of signal.
///
/// The listener receives every signal that arrives from now on, even if no task waits
/// for it yet.
///
/// # Errors
///
/// Returns an error if it is called outside a runtime; if the number is not the number of
/// a signal; if no program can or should catch the signal (`SIGKILL`, `SIGSTOP`, `SIGILL`,
/// `SIGFPE` and `SIGSEGV`); or if no descriptors are left.
///
/// # Examples
///
/// ```no_run
/// use coreloop::signal::unix::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut hangups = signal(SignalKind::hangup())?;
/// while hangups.recv().await.is_some() {
///     println!("reading the configuration again");
/// }
/// # Ok(())
/// # })
/// # }
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let number = kind.0;
    if number <= 0 || consts::FORBIDDEN.contains(&number) {
        return Err(io::Error::other(format!(
            "signal {number} cannot be listened for"
        )));
    }
    let (reader, writer) = io::pipe()?;
    // Registered last, because the handler stays installed even if a later step fails.
    sys::set_nonblocking(reader.as_fd(), true)?;
    let pipe = Async::from_owned(reader)?;
    let handler = low_level::pipe::register(number, writer)?;
    Ok(Signal {
        kind,
        handler,
        pipe,
    })
}

/// A listener for one kind of signal, created by [`signal`].
///
/// All listeners for a kind receive each signal, whatever their threads. But signals that
/// arrive between two calls of [`recv`](Signal::recv) are received as one, just as the
/// kernel merges pending signals of a kind.
///
/// **The first listener for a kind changes the effect of the signal for good:** the
/// handler stays installed when all listeners have been dropped, and then the signal has
/// no effect at all. Ctrl-C cannot end a program that has stopped listening for `SIGINT`.
///
/// # Examples
///
/// ```no_run
/// use coreloop::signal::unix::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut hangups = signal(SignalKind::hangup())?;
/// while hangups.recv().await.is_some() {
///     println!("reading the configuration again");
/// }
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use = "signals are received only by polling it"]
pub struct Signal {
    kind: SignalKind,
    handler: SigId,
    pipe: Async<PipeReader>,
}

impl Signal {
    /// Waits for the signal.
    ///
    /// Returns `None` only if the runtime that the listener was created in was dropped
    /// and no signal arrived before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call receives the signal.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the signal, like [`recv`](Signal::recv). Only the last task that polled is
    /// woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut buffer = [0; BUFFER];
        // A short read does not mark the pipe as drained, so the next poll reads again.
        // Signals are rare, and the first poll after one reports it, even if the kernel
        // has not been polled since.
        let read = self
            .pipe
            .poll_read_with(cx, |mut pipe| pipe.read(&mut buffer));
        let Ok(mut count) = ready!(read) else {
            return Poll::Ready(None);
        };
        // All signals that have arrived so far count as one.
        while count == BUFFER {
            let read = self.pipe.try_read_with(|mut pipe| pipe.read(&mut buffer));
            count = read.unwrap_or(0);
        }
        Poll::Ready(Some(()))
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // Before the pipe is closed, so that the handler does not write to it any more.
        low_level::unregister(self.handler);
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
