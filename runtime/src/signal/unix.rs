//! [`Signal`]: a listener for one kind of signal.
//!
//! The handler is that of the `signal-hook` crate. Each listener has a pipe: the
//! handler writes a byte to it, and the loop waits for the other end. So there
//! is nothing that listeners, loops or threads share.

use std::ffi::c_int;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use signal_hook::SigId;
use signal_hook::consts;
use signal_hook::low_level;

use crate::io::descriptor::Async;
use crate::io::nonblocking;

/// More bytes than are often in a pipe.
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
    /// The signal of this number, which may be one that the system has and the
    /// functions below do not name.
    #[must_use]
    pub const fn from_raw(number: c_int) -> SignalKind {
        SignalKind(number)
    }

    /// The number of the signal.
    #[must_use]
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// `SIGALRM`: a timer of the system is over. It ends the process by default.
    #[must_use]
    pub const fn alarm() -> SignalKind {
        SignalKind(consts::SIGALRM)
    }

    /// `SIGCHLD`: a child process has changed. It is ignored by default.
    #[must_use]
    pub const fn child() -> SignalKind {
        SignalKind(consts::SIGCHLD)
    }

    /// `SIGHUP`: the terminal is gone, or a server is to read its configuration.
    /// It ends the process by default.
    #[must_use]
    pub const fn hangup() -> SignalKind {
        SignalKind(consts::SIGHUP)
    }

    /// `SIGINFO`: a status report is asked for. It is ignored by default.
    #[cfg(any(
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    #[must_use]
    pub const fn info() -> SignalKind {
        SignalKind(consts::SIGINFO)
    }

    /// `SIGINT`: Ctrl-C. It ends the process by default.
    #[must_use]
    pub const fn interrupt() -> SignalKind {
        SignalKind(consts::SIGINT)
    }

    /// `SIGIO`: a descriptor is ready. What it does by default depends on the
    /// system.
    #[must_use]
    pub const fn io() -> SignalKind {
        SignalKind(consts::SIGIO)
    }

    /// `SIGPIPE`: a write to a pipe that nobody reads. It is ignored by programs
    /// in Rust, unless they say otherwise.
    #[must_use]
    pub const fn pipe() -> SignalKind {
        SignalKind(consts::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\\. It ends the process by default, with a core dump.
    #[must_use]
    pub const fn quit() -> SignalKind {
        SignalKind(consts::SIGQUIT)
    }

    /// `SIGTERM`: the process is to end. It does by default.
    #[must_use]
    pub const fn terminate() -> SignalKind {
        SignalKind(consts::SIGTERM)
    }

    /// `SIGUSR1`: for the program to define. It ends the process by default.
    #[must_use]
    pub const fn user_defined1() -> SignalKind {
        SignalKind(consts::SIGUSR1)
    }

    /// `SIGUSR2`: for the program to define. It ends the process by default.
    #[must_use]
    pub const fn user_defined2() -> SignalKind {
        SignalKind(consts::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal has another size. It is ignored by default.
    #[must_use]
    pub const fn window_change() -> SignalKind {
        SignalKind(consts::SIGWINCH)
    }
}

impl From<c_int> for SignalKind {
    fn from(number: c_int) -> SignalKind {
        SignalKind(number)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> c_int {
        kind.0
    }
}

/// Starts to listen for a kind of signal.
///
/// Signals that come from now on are seen, whether or not anybody waits yet.
///
/// # Errors
///
/// Outside a runtime; for a number that is no signal; for those that no program
/// can or should catch: `SIGKILL`, `SIGSTOP`, `SIGILL`, `SIGFPE` and `SIGSEGV`;
/// or if the system has no descriptors left.
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
    // The handler comes last, as it stays even if nobody listens.
    nonblocking::set(reader.as_fd(), true)?;
    let pipe = Async::from_owned(reader)?;
    let handler = low_level::pipe::register(number, writer)?;
    Ok(Signal {
        kind,
        handler,
        pipe,
    })
}

/// A listener for one kind of signal, on the loop that it was made on.
///
/// Every listener sees each signal, whatever its thread; but signals that come
/// between two looks at it are seen as one, as the kernel takes several for
/// one too.
///
/// **The first listener for a kind changes what that does for good:** the
/// handler is not taken away again when the listeners are dropped, so that then
/// the signal does nothing at all. A program that stops listening for `SIGINT`
/// can no longer be ended by Ctrl-C.
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
#[must_use = "signals are seen by polling it only"]
pub struct Signal {
    kind: SignalKind,
    handler: SigId,
    pipe: Async<PipeReader>,
}

impl Signal {
    /// Waits for the signal.
    ///
    /// Gives `None` only when the runtime that the listener was made in is gone,
    /// and no signal came before that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a signal that was not received is received by the next call.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// As [`recv`](Signal::recv), for the last task that polls.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        let mut buffer = [0; BUFFER];
        // Asks the kernel each time: signals are rare, and one that has come is told
        // by the first poll after it, even if nothing was waited for before.
        let read = self
            .pipe
            .poll_read_with(context, |mut pipe| pipe.read(&mut buffer));
        let Ok(mut count) = ready!(read) else {
            return Poll::Ready(None);
        };
        // All that came until now is one.
        while count == BUFFER {
            let read = self.pipe.try_read_with(|mut pipe| pipe.read(&mut buffer));
            count = read.unwrap_or(0);
        }
        Poll::Ready(Some(()))
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // Before the pipe is closed: then nobody writes to it any more.
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
