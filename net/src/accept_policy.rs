//! The handling of errors of `accept`: some concern one connection, some call for a pause, and
//! the others end the listener.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::io::Async;
use coreloop_runtime::time::Sleep;
use rustix::io::Errno;

use crate::sys;

/// How long a listener pauses when the system is out of descriptors or memory. The pause is
/// short enough that clients hardly notice it, and long enough that an exhausted server does
/// not spend its time on calls that fail.
const BACKOFF: Duration = Duration::from_millis(50);

/// Accepts the next connection with `accept`, which makes one system call.
pub(crate) async fn accept<L: AsFd, R>(
    listener: &Async<L>,
    mut accept: impl FnMut(&L) -> io::Result<R>,
) -> io::Result<R> {
    loop {
        let error = match listener.read_with(&mut accept).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        match AcceptFailure::of(&error) {
            AcceptFailure::Connection => {}
            AcceptFailure::Exhausted => back_off(listener).await,
            AcceptFailure::Listener => return Err(error),
        }
    }
}

/// The pause of a listener that is polled with [`poll_accept`]. A future of [`accept`] holds
/// its own.
#[derive(Default)]
pub(crate) struct ListenerBackoff(Cell<Option<Pin<Box<Sleep>>>>);

/// Accepts the next connection like [`accept`]. Only the task that polled last is woken.
pub(crate) fn poll_accept<L: AsFd, R>(
    listener: &Async<L>,
    ListenerBackoff(backoff): &ListenerBackoff,
    cx: &mut Context<'_>,
    mut accept: impl FnMut(&L) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        if let Some(mut sleep) = backoff.take()
            && sleep.as_mut().poll(cx).is_pending()
        {
            backoff.set(Some(sleep));
            return Poll::Pending;
        }
        let error = match ready!(listener.poll_read_with(cx, &mut accept)) {
            Ok(connection) => return Poll::Ready(Ok(connection)),
            Err(error) => error,
        };
        match AcceptFailure::of(&error) {
            AcceptFailure::Connection => {}
            AcceptFailure::Exhausted => backoff.set(Some(Box::pin(back_off(listener)))),
            AcceptFailure::Listener => return Poll::Ready(Err(error)),
        }
    }
}

/// The pause of one task or future that polls several listeners with `poll_accept_shared`,
/// while the system is out of descriptors or memory.
// Hidden, as is `poll_accept_shared`: only the listener of a supervised worker is made of
// several.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct AcceptBackoff {
    sleep: Option<Sleep>,
}

/// The old name of [`AcceptBackoff`].
#[doc(hidden)]
#[deprecated(since = "0.1.0", note = "renamed to `AcceptBackoff`")]
pub type AcceptPause = AcceptBackoff;

/// Accepts the next connection like [`poll_accept`], but each task that polled is woken. Each
/// task has a `backoff` of its own.
pub(crate) fn poll_accept_shared<L: AsFd, R>(
    listener: &Async<L>,
    backoff: &mut AcceptBackoff,
    cx: &mut Context<'_>,
    mut accept: impl FnMut(&L) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        if let Some(sleep) = &mut backoff.sleep {
            ready!(Pin::new(sleep).poll(cx));
            backoff.sleep = None;
        }
        let error = match ready!(listener.poll_read_shared(cx, &mut accept)) {
            Ok(connection) => return Poll::Ready(Ok(connection)),
            Err(error) => error,
        };
        match AcceptFailure::of(&error) {
            AcceptFailure::Connection => {}
            AcceptFailure::Exhausted => backoff.sleep = Some(back_off(listener)),
            AcceptFailure::Listener => return Poll::Ready(Err(error)),
        }
    }
}

/// Returns a pause. Meanwhile, other loops that have a duplicate of the listener accept.
fn back_off<L: AsFd>(listener: &Async<L>) -> Sleep {
    listener.leave_to_others();
    listener.sleep(BACKOFF)
}

/// The object that an error of `accept` concerns.
enum AcceptFailure {
    /// One connection is lost, and the next may succeed. accept(2): "treat them like EAGAIN
    /// by retrying".
    Connection,
    /// The system is out of descriptors or memory. The connection stays queued, so another
    /// attempt would fail at once, again and again.
    Exhausted,
    /// The listener cannot accept.
    Listener,
}

impl AcceptFailure {
    fn of(error: &io::Error) -> Self {
        // EPERM and EOPNOTSUPP are missing although accept(2) lists them: a sandbox, or a
        // descriptor that is no listener, causes them at each attempt.
        match Errno::from_io_error(error) {
            Some(
                Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::NOPROTOOPT
                | Errno::PROTO
                | Errno::TIMEDOUT,
            ) => Self::Connection,
            Some(errno) if sys::loses_one_connection(errno) => Self::Connection,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Exhausted,
            _ => Self::Listener,
        }
    }
}
