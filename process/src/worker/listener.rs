//! [`Listener`], which accepts the connections of a worker.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_net::{Accept, AcceptBackoff, TcpListener, TcpStream};
use futures_core::Stream;

use super::Worker;
use super::accept_group::{AcceptGroup, Accepted, GroupStage};
use super::socket::Socket;

/// A listener that accepts the connections of a worker, returned by [`Worker::listener`]
/// and [`Worker::unix_listener`].
///
/// It accepts from the worker's own socket, or from several if [`bind_every`] has bound them;
/// while another worker is down, from the sockets of that worker too. When the worker drains,
/// it takes the sockets off its loop, and leaves the connections that are queued there to its
/// successor. From then on the listener returns `None`; a connection that was taken off a
/// queue is always returned before. From a socket that all workers share, it first returns the
/// connections that are queued at that moment.
///
/// [`bind_every`]: crate::Supervisor::bind_every
///
/// # Examples
///
/// ```no_run
/// use std::io;
/// use coreloop::process::Worker;
///
/// async fn serve(worker: Worker) -> io::Result<()> {
///     let listener = worker.listener(0)?;
///     while let Some((mut stream, _peer)) = listener.accept().await? {
///         coreloop::spawn(async move { stream.write_all(b"hello\n").await });
///     }
///     Ok(()) // The tasks have the rest of the time to drain.
/// }
/// ```
pub struct Listener<L: Socket = TcpListener> {
    group: Rc<AcceptGroup<L>>,
    worker: Worker,
    pause: Cell<AcceptBackoff>,
}

impl<L: Socket> Listener<L> {
    pub(super) fn new(group: Rc<AcceptGroup<L>>, worker: Worker) -> Self {
        Self {
            group,
            worker,
            pause: Cell::default(),
        }
    }

    /// Accepts the next connection, and returns it with the peer's address; `None` once the
    /// worker drains.
    ///
    /// The first poll reports to the master that the worker is [ready](Worker::ready), even
    /// if it returns a connection. Any number of tasks may accept from one listener; each
    /// connection goes to one of them.
    ///
    /// Like [`TcpListener::accept`], it continues if a connection is closed before it could
    /// be accepted, and if the system is out of descriptors or memory.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. A connection that was not returned stays in the
    /// queue, for this worker or for the next.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the worker's own sockets cannot accept any more.
    pub async fn accept(&self) -> Accepted<L> {
        let mut pause = AcceptBackoff::default();
        poll_fn(|cx| self.poll(&mut pause, cx)).await
    }

    /// Polls for the next connection, like [`accept`](Self::accept).
    ///
    /// Only the task that polled last is certain to be woken. For several tasks, use
    /// `accept`.
    ///
    /// # Errors
    ///
    /// Returns an error if [`accept`](Self::accept) would.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        let mut pause = self.pause.take();
        let accepted = self.poll(&mut pause, cx);
        self.pause.set(pause);
        accepted
    }

    /// Returns a [`Stream`] of the connections, without the peers' addresses. It ends when
    /// the worker drains.
    ///
    /// Each of several streams gets some of the connections.
    pub fn incoming(&self) -> Incoming<'_, L> {
        Incoming {
            listener: self,
            pause: AcceptBackoff::default(),
        }
    }

    /// Returns the address that the worker's own socket is bound to, or the first of them if
    /// there are several. The sockets of the other workers are bound to the same addresses.
    #[must_use]
    pub fn local_addr(&self) -> L::Address {
        self.group.address().clone()
    }

    #[inline]
    fn poll(&self, pause: &mut AcceptBackoff, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        if self.group.stage() == GroupStage::New {
            self.begin();
        }
        let accepted = self.group.poll_accept(pause, cx);
        if let Poll::Ready(Ok(Some(_))) = &accepted
            && self.worker.shared.requests.connection()
        {
            self.worker.shared.retire();
        }
        accepted
    }

    #[cold]
    fn begin(&self) {
        self.group.open();
        self.worker.ready();
    }
}

impl Accept for Listener {
    #[inline]
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        Self::poll_accept(self, cx)
    }
}

impl<L: Socket> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("stage", &self.group.stage())
            .finish_non_exhaustive()
    }
}

/// A stream of the connections of a worker, returned by [`Listener::incoming`].
///
/// Dropping it loses no connection.
#[must_use = "a stream does nothing unless polled"]
pub struct Incoming<'a, L: Socket = TcpListener> {
    listener: &'a Listener<L>,
    pause: AcceptBackoff,
}

impl<L: Socket> Stream for Incoming<'_, L> {
    type Item = io::Result<L::Stream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let incoming = self.get_mut();
        let accepted = ready!(incoming.listener.poll(&mut incoming.pause, cx));
        Poll::Ready(
            accepted
                .map(|some| some.map(|(stream, _)| stream))
                .transpose(),
        )
    }
}

impl<L: Socket> fmt::Debug for Incoming<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
