//! Accepting, whatever the sockets: which failures cost one connection, which
//! call for a pause, and which end a listener.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::io::Async;
use coreloop_runtime::time::Sleep;
use rustix::io::Errno;

use crate::{TcpListener, TcpStream};

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
            AcceptFailure::Exhausted => rest(listener).await,
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
            AcceptFailure::Exhausted => pause.set(Some(Box::pin(rest(listener)))),
            AcceptFailure::Listener => return Poll::Ready(Err(error)),
        }
    }
}

/// As [`poll_accept`], for all tasks that poll, each with a pause of its own.
pub(crate) fn poll_accept_shared<L: AsFd, R>(
    listener: &Async<L>,
    pause: &mut AcceptPause,
    cx: &mut Context<'_>,
    mut take: impl FnMut(&L) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        if let Some(rest) = &mut pause.rest {
            ready!(Pin::new(rest).poll(cx));
            pause.rest = None;
        }
        let error = match ready!(listener.poll_read_shared(cx, &mut take)) {
            Ok(connection) => return Poll::Ready(Ok(connection)),
            Err(error) => error,
        };
        match AcceptFailure::of(&error) {
            AcceptFailure::Connection => {}
            AcceptFailure::Exhausted => pause.rest = Some(rest(listener)),
            AcceptFailure::Listener => return Poll::Ready(Err(error)),
        }
    }
}

/// What TCP connections come from, for servers that take any such thing: a
/// [`TcpListener`], or one that ends.
///
/// # Examples
///
/// A listener that has had enough after so many connections:
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use std::task::{Context, Poll, ready};
///
/// use coreloop::net::{Accept, TcpListener, TcpStream};
///
/// struct Few {
///     listener: TcpListener,
///     left: usize,
/// }
///
/// impl Accept for Few {
///     fn poll_accept(
///         &mut self,
///         cx: &mut Context<'_>,
///     ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
///         if self.left == 0 {
///             return Poll::Ready(Ok(None));
///         }
///         let accepted = ready!(self.listener.poll_accept(cx))?;
///         self.left -= 1;
///         Poll::Ready(Ok(Some(accepted)))
///     }
/// }
/// ```
pub trait Accept {
    /// Polls for the next connection; `None` when there will be no more. Wakes the
    /// task that polled last.
    ///
    /// # Errors
    ///
    /// Whatever says that it cannot go on. What is wrong with a single connection is
    /// no error.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>>;
}

impl Accept for TcpListener {
    #[inline]
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        TcpListener::poll_accept(self, cx).map_ok(Some)
    }
}

/// The rest of a pause that an acceptor makes while the system is out of
/// descriptors or memory: see
/// [`TcpListener::poll_accept_shared`](crate::TcpListener::poll_accept_shared).
#[derive(Debug, Default)]
pub struct AcceptPause {
    rest: Option<Sleep>,
}

/// A pause, in which connections are left to other loops that have the listener too.
fn rest<L: AsFd>(listener: &Async<L>) -> Sleep {
    listener.leave_to_others();
    listener.sleep(PAUSE)
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
