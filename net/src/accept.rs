//! Accepting, whatever the sockets: which failures cost one connection, which
//! call for a pause, and which end a listener.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::io::Async;
use coreloop_runtime::time::Sleep;
use rustix::io::Errno;

/// How long `accept` leaves a listener alone for which the system has no
/// descriptors. Short enough that nobody notices the wait, long enough that an
/// exhausted server does not spend its time on being refused.
const PAUSE: Duration = Duration::from_millis(50);

/// The rest of [`poll_accept`]'s pause; [`accept`] keeps its own in its future.
pub(crate) type Pause = Cell<Option<Pin<Box<Sleep>>>>;

/// Takes the next connection off `listener`'s queue, when there is one.
pub(crate) async fn accept<L: AsFd, R>(
    listener: &Async<L>,
    mut take: impl FnMut(&L) -> io::Result<R>,
) -> io::Result<R> {
    loop {
        let error = match listener.read_with(&mut take).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        match AcceptFailure::of(&error) {
            AcceptFailure::Connection => {}
            AcceptFailure::Exhausted => listener.sleep(PAUSE).await,
            AcceptFailure::Listener => return Err(error),
        }
    }
}

/// As [`accept`], for the last task that polls.
pub(crate) fn poll_accept<L: AsFd, R>(
    listener: &Async<L>,
    pause: &Pause,
    cx: &mut Context<'_>,
    mut take: impl FnMut(&L) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        if let Some(mut rest) = pause.take()
            && rest.as_mut().poll(cx).is_pending()
        {
            pause.set(Some(rest));
            return Poll::Pending;
        }
        let error = match ready!(listener.poll_read_with(cx, &mut take)) {
            Ok(connection) => return Poll::Ready(Ok(connection)),
            Err(error) => error,
        };
        match AcceptFailure::of(&error) {
            AcceptFailure::Connection => {}
            AcceptFailure::Exhausted => pause.set(Some(Box::pin(listener.sleep(PAUSE)))),
            AcceptFailure::Listener => return Poll::Ready(Err(error)),
        }
    }
}

/// What a failed `accept` calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptFailure {
    /// One connection is lost; the next may be fine. accept(2): "treat them like
    /// EAGAIN by retrying".
    Connection,
    /// Out of descriptors or memory. The connection stays queued, so a retry at
    /// once would fail at once, for ever.
    Exhausted,
    /// The listener itself is at fault.
    Listener,
}

impl AcceptFailure {
    pub(crate) fn of(error: &io::Error) -> AcceptFailure {
        // EPERM and EOPNOTSUPP are left out, though accept(2) lists them: a
        // sandbox, or a descriptor that is no listener, gives them every time.
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
            ) => AcceptFailure::Connection,
            #[cfg(any(target_os = "android", target_os = "linux"))]
            Some(Errno::NONET) => AcceptFailure::Connection,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                AcceptFailure::Exhausted
            }
            _ => AcceptFailure::Listener,
        }
    }
}
