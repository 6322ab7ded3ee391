//! Accepting connections.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;
use socket2::SockRef;

use super::{SocketAddr, UnixStream, sys};
use crate::Incoming;
use crate::accept::{self, AcceptPause, Pause};

/// A socket that accepts connections at a path, or an abstract name.
///
/// The path stays when the listener is dropped, as with every server: who binds it
/// next removes it first.
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
    pause: Pause,
}

impl UnixListener {
    /// Binds a listener to `path`, which must not be there yet, with a queue of up
    /// to 1024 connections.
    ///
    /// On Linux a path that starts with a zero byte is an abstract name, in all
    /// methods of Unix sockets that take a path.
    ///
    /// # Errors
    ///
    /// Those of the system call: [`AddrInUse`](io::ErrorKind::AddrInUse) if
    /// something is at `path`, be it a socket that nobody listens to any more. Also
    /// if no runtime is running here.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::of_path(path.as_ref())?)
    }

    /// As [`bind`](Self::bind), to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::from_nonblocking(sys::listen(address)?)
    }

    /// Accepts the next connection, and tells the address of the peer, which
    /// usually has none.
    ///
    /// Any number of tasks may accept from one listener; a connection goes to one
    /// of them.
    ///
    /// When the process or the system is out of descriptors or memory, `accept` does
    /// not fail: it tries again every 50 ms, and goes on as soon as some are free.
    /// Meanwhile connections wait in the kernel's queue.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. One that was not returned stays in the
    /// queue.
    ///
    /// # Errors
    ///
    /// Whatever says that the listener itself cannot go on. After the runtime is
    /// dropped, `accept` fails instead of waiting.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = accept::accept(&self.io, sys::accept).await?;
        Ok((UnixStream::from_nonblocking(stream)?, peer))
    }

    /// Polls for the next connection, as [`accept`](Self::accept) awaits it.
    ///
    /// Only the task that polled last is woken. For several tasks, use `accept`.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept::poll_accept(&self.io, &self.pause, cx, sys::accept))?;
        Poll::Ready(UnixStream::from_nonblocking(stream).map(|stream| (stream, peer)))
    }

    /// As [`poll_accept`](Self::poll_accept), but every task that polled is woken,
    /// not the last alone. For listeners that are made of several, of which each
    /// waiting task polls all.
    ///
    /// Each task, or each future that waits, has a `pause` of its own, and gives
    /// the same one to every listener that it polls.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept_shared(
        &self,
        pause: &mut AcceptPause,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept::poll_accept_shared(&self.io, pause, cx, sys::accept))?;
        Poll::Ready(UnixStream::from_nonblocking(stream).map(|stream| (stream, peer)))
    }

    /// The connections, one after another, as a [`Stream`](futures_core::Stream).
    pub fn incoming(&self) -> Incoming<'_, UnixStream> {
        Incoming::new(move || async move { Ok(self.accept().await?.0) })
    }

    /// As [`incoming`](Self::incoming), with the listener in the stream.
    pub fn into_incoming(self) -> Incoming<'static, UnixStream> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// The address this listener is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// Takes the error the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Puts a listener of the standard library on this thread's loop.
    ///
    /// It is made non-blocking here, so there is nothing to prepare.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
    pub fn from_std(listener: net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        UnixListener::from_nonblocking(listener)
    }

    /// Puts a listener on this thread's loop from which others accept too: other
    /// processes or threads, each with a duplicate on a loop of its own.
    ///
    /// A connection wakes one of the loops that are idle (`EPOLLEXCLUSIVE`), where
    /// [`from_std`](Self::from_std) wakes them all, to find nothing. So who has such a
    /// listener goes on accepting: what it was woken for, nobody else is told of. One
    /// that wants no more connections takes the listener off the loop by
    /// [`into_std`](Self::into_std), and then accepts what is queued. One that is out of
    /// descriptors leaves connections to the others meanwhile. See
    /// [`Async::from_owned_exclusive`] for what happens when one dies.
    ///
    /// On other systems than Linux this is the same as `from_std`.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
    pub fn from_std_exclusive(listener: net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        Ok(UnixListener {
            io: Async::from_owned_exclusive(listener)?,
            pause: Pause::default(),
        })
    }

    /// Takes the listener off the loop, as one of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::UnixListener::set_nonblocking) if it is to
    /// block.
    ///
    /// # Errors
    ///
    /// If the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UnixListener> {
        self.io.into_inner()
    }

    fn from_nonblocking(listener: net::UnixListener) -> io::Result<UnixListener> {
        Ok(UnixListener {
            io: Async::from_owned(listener)?,
            pause: Pause::default(),
        })
    }
}

impl TryFrom<net::UnixListener> for UnixListener {
    type Error = io::Error;

    /// The same as [`UnixListener::from_std`].
    fn try_from(listener: net::UnixListener) -> io::Result<UnixListener> {
        UnixListener::from_std(listener)
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
