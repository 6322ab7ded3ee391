//! [`UnixListener`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;
use socket2::SockRef;

use super::{SocketAddr, UnixStream};
use crate::Incoming;
use crate::accept_policy::{self, AcceptBackoff, ListenerBackoff};
use crate::sys::unix as sys;

/// A socket that accepts connections at a path, or an abstract name.
///
/// The path remains when the listener is dropped, so a server removes the path before it binds
/// it again.
///
/// # Examples
///
/// ```no_run
/// use coreloop::net::UnixListener;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = UnixListener::bind("/run/greeter.sock")?;
///     loop {
///         let (mut stream, _) = listener.accept().await?;
///         coreloop::spawn(async move { stream.write_all(b"hello\n").await });
///     }
/// })
/// # }
/// ```
pub struct UnixListener {
    io: Async<net::UnixListener>,
    backoff: ListenerBackoff,
}

impl UnixListener {
    /// Binds a listener to `path`, which must not exist yet, with a queue for up to 1024
    /// connections.
    ///
    /// On Linux a path that starts with a zero byte is an abstract name, in all methods of
    /// Unix sockets that take a path.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if something is at `path`, even a socket that
    /// no listener uses. Also returns an error outside a runtime.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_path(path.as_ref())?)
    }

    /// Binds like [`bind`](Self::bind) to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Returns an error like [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::from_nonblocking(sys::listen(&address.to_system()?)?)
    }

    /// Accepts the next connection, and returns it with the address of its peer, which is
    /// usually unnamed.
    ///
    /// Any number of tasks may accept from one listener; each connection goes to one of them.
    ///
    /// When the process or the system is out of descriptors or memory, `accept` does not fail:
    /// it tries again every 50 ms, while connections wait in the queue of the kernel.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. One that was not returned stays in the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener can accept no further connection, or has to wait after
    /// the runtime has been dropped.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = accept_policy::accept(&self.io, sys::accept).await?;
        Ok((UnixStream::from_nonblocking(stream)?, peer.into()))
    }

    /// Polls for the next connection, like [`accept`](Self::accept).
    ///
    /// Only the task that polled last is woken. For several tasks, use `accept`.
    ///
    /// # Errors
    ///
    /// Returns an error like [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept_policy::poll_accept(
            &self.io,
            &self.backoff,
            cx,
            sys::accept
        ))?;
        Poll::Ready(UnixStream::from_nonblocking(stream).map(|stream| (stream, peer.into())))
    }

    /// Polls like [`poll_accept`](Self::poll_accept), but each task that polled is woken, not
    /// only the last one. For listeners that are made of several, all of which each waiting
    /// task polls.
    ///
    /// Each task, or each future that waits, has a `backoff` of its own, and passes it to
    /// every listener that it polls.
    ///
    /// # Errors
    ///
    /// Returns an error like [`accept`](Self::accept).
    // Hidden, because only the listener of a supervised worker is made of several.
    #[doc(hidden)]
    pub fn poll_accept_shared(
        &self,
        backoff: &mut AcceptBackoff,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept_policy::poll_accept_shared(
            &self.io,
            backoff,
            cx,
            sys::accept
        ))?;
        Poll::Ready(UnixStream::counted(stream).map(|stream| (stream, peer.into())))
    }

    /// Returns the connections as a [`Stream`](futures_core::Stream), without the addresses of
    /// the peers.
    pub fn incoming(&self) -> Incoming<'_, UnixStream> {
        Incoming::new(move || async move { Ok(self.accept().await?.0) })
    }

    /// Returns the same stream as [`incoming`](Self::incoming), which owns the listener.
    pub fn into_incoming(self) -> Incoming<'static, UnixStream> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// Returns the address that this listener is bound to.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self).map(SocketAddr::from)
    }

    /// Takes the error that the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Puts a listener of the standard library on this thread's loop.
    ///
    /// This makes it non-blocking, so the caller need not.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    pub fn from_std(listener: net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::from_nonblocking(listener)
    }

    /// Puts a listener on this thread's loop that other processes or threads accept from too,
    /// each with a duplicate on a loop of its own.
    ///
    /// A connection wakes one of the idle loops (`EPOLLEXCLUSIVE`), whereas
    /// [`from_std`](Self::from_std) wakes all of them, and all but one in vain. So the owner
    /// of such a listener has to keep accepting: no other loop is woken for a connection that
    /// this one was woken for. To stop, take the listener off the loop with
    /// [`into_std`](Self::into_std), and then accept the connections that are queued. A loop
    /// that is out of descriptors leaves connections to the others
    /// meanwhile. If a loop ends, a connection that it was woken for waits for the next accept
    /// on another loop.
    ///
    /// On systems other than Linux this is the same as `from_std`.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    // Hidden, because a supervised worker does this for its listeners.
    #[doc(hidden)]
    pub fn from_std_exclusive(listener: net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            io: Async::from_owned_exclusive(listener)?,
            backoff: ListenerBackoff::default(),
        })
    }

    /// Takes the listener off the loop, and converts it to a listener of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::UnixListener::set_nonblocking) to make it
    /// block again.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UnixListener> {
        self.io.into_inner()
    }

    fn from_nonblocking(listener: net::UnixListener) -> io::Result<Self> {
        Ok(Self {
            io: Async::from_owned(listener)?,
            backoff: ListenerBackoff::default(),
        })
    }
}

impl TryFrom<net::UnixListener> for UnixListener {
    type Error = io::Error;

    /// Converts like [`UnixListener::from_std`].
    fn try_from(listener: net::UnixListener) -> io::Result<Self> {
        Self::from_std(listener)
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.get_ref().fmt(f)
    }
}
