//! [`Listener`]: how a worker accepts connections.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_net::{Accept, AcceptPause, TcpListener, TcpStream};
use futures_core::Stream;

use super::Worker;
use super::group::{Accepted, Group, Stage};
use super::socket::Socket;

/// Accepts the connections that come to a worker:
/// [`Worker::listener`] and [`Worker::unix_listener`] make it.
///
/// They come from the worker's own socket and, while a sibling is down, from
/// that of the sibling. When the worker is to end, it takes the sockets off its
/// loop, and leaves to its successor what is queued there. From then on the listener
/// gives `None`; a connection that was taken off a queue is always handed out. Of a
/// socket that all workers share it first gives what is queued at that moment.
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
///     Ok(()) // The tasks have what is left of the time to drain.
/// }
/// ```
pub struct Listener<L: Socket = TcpListener> {
    group: Rc<Group<L>>,
    worker: Worker,
    pause: Cell<AcceptPause>,
}

impl<L: Socket> Listener<L> {
    pub(super) fn new(group: Rc<Group<L>>, worker: Worker) -> Listener<L> {
        Listener {
            group,
            worker,
            pause: Cell::default(),
        }
    }

    /// Accepts the next connection, and tells who it is from; `None` once the
    /// worker is to end.
    ///
    /// The first time that it is awaited tells the master that the worker is
    /// [ready](Worker::ready). Any number of tasks may accept from one listener; a
    /// connection goes to one of them.
    ///
    /// It goes on as [`TcpListener::accept`] does when a connection is gone before
    /// it could be accepted, and when the system is out of descriptors or memory.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. One that was not returned stays in the
    /// queue, for this worker or for the next.
    ///
    /// # Errors
    ///
    /// Whatever says that the worker's own socket cannot go on.
    pub async fn accept(&self) -> Accepted<L> {
        let mut pause = AcceptPause::default();
        poll_fn(|cx| self.poll(&mut pause, cx)).await
    }

    /// Polls for the next connection, as [`accept`](Self::accept) awaits it.
    ///
    /// Only the task that polled last is sure to be woken. For several tasks, use
    /// `accept`.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        let mut pause = self.pause.take();
        let accepted = self.poll(&mut pause, cx);
        self.pause.set(pause);
        accepted
    }

    /// The connections, one after another, as a [`Stream`], without the addresses.
    /// It ends when the worker is to end.
    ///
    /// Each of several streams gets some of the connections.
    pub fn incoming(&self) -> Incoming<'_, L> {
        Incoming {
            listener: self,
            pause: AcceptPause::default(),
        }
    }

    /// Where the worker's own socket is bound, which is where those of its
    /// siblings are.
    #[must_use]
    pub fn local_addr(&self) -> L::Address {
        self.group.address().clone()
    }

    #[inline]
    fn poll(&self, pause: &mut AcceptPause, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        if self.group.stage() == Stage::New {
            self.begin();
        }
        self.group.poll_accept(pause, cx)
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
        Listener::poll_accept(self, cx)
    }
}

impl<L: Socket> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("stage", &self.group.stage())
            .finish_non_exhaustive()
    }
}

/// The connections that come to a worker: [`Listener::incoming`] makes it.
///
/// Dropping it loses no connection.
#[must_use = "a stream does nothing unless polled"]
pub struct Incoming<'a, L: Socket = TcpListener> {
    listener: &'a Listener<L>,
    pause: AcceptPause,
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
