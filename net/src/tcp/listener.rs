//! [`TcpListener`].

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;

use super::TcpStream;
use crate::accept_policy::{self, AcceptBackoff, ListenerBackoff};
use crate::addr::{self, ToSocketAddrs};
use crate::sys::tcp as sys;

/// A socket that accepts TCP connections.
///
/// # Examples
///
/// ```no_run
/// use coreloop::net::TcpListener;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:7777").await?;
///     loop {
///         let (mut stream, peer) = listener.accept().await?;
///         coreloop::spawn(async move {
///             if let Err(error) = stream.write_all(b"hello\n").await {
///                 eprintln!("{peer}: {error}");
///             }
///         });
///     }
/// })
/// # }
/// ```
pub struct TcpListener {
    pub(super) io: Async<net::TcpListener>,
    backoff: ListenerBackoff,
}

impl TcpListener {
    /// Binds a listener to `address`, with a queue for up to 1024 connections.
    ///
    /// Port 0 asks the system for a free port, which [`local_addr`](Self::local_addr) returns.
    /// If `address` stands for several addresses, they are tried in turn until one can be
    /// bound. `SO_REUSEADDR` is set, so that a server that restarts can bind the same port.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no socket remains bound.
    ///
    /// # Errors
    ///
    /// Returns the error of the last address tried, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse); the error of the lookup; or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `address` stands for no address. Also
    /// returns an error outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    ///     assert_ne!(listener.local_addr()?.port(), 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let mut last_error = None;
        for address in addr::resolve(address).await? {
            match sys::listen(address) {
                Ok(listener) => return Self::from_nonblocking(listener),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(addr::no_addresses))
    }

    /// Accepts the next connection, and returns it with the address of its peer.
    ///
    /// Any number of tasks may accept from one listener; each connection goes to one of them.
    ///
    /// A connection that was closed before it could be accepted is skipped. When the process
    /// or the system is out of descriptors or memory, `accept` does not fail: it tries again
    /// every 50 ms, while connections wait in the queue of the kernel.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. One that was not returned stays in the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener can accept no further connection, or has to wait after
    /// the runtime has been dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (_server, peer) = listener.accept().await?;
    ///     assert_eq!(peer, client.local_addr()?);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = accept_policy::accept(&self.io, sys::accept).await?;
        Ok((TcpStream::from_nonblocking(stream)?, peer))
    }

    /// Polls for the next connection, like [`accept`](Self::accept).
    ///
    /// Only the task that polled last is woken. For several tasks, use `accept`.
    ///
    /// # Errors
    ///
    /// Returns an error like [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept_policy::poll_accept(
            &self.io,
            &self.backoff,
            cx,
            sys::accept
        ))?;
        Poll::Ready(TcpStream::from_nonblocking(stream).map(|stream| (stream, peer)))
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
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept_policy::poll_accept_shared(
            &self.io,
            backoff,
            cx,
            sys::accept
        ))?;
        Poll::Ready(TcpStream::counted(stream).map(|stream| (stream, peer)))
    }

    /// Returns the address that this listener is bound to.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Puts a listener of the standard library on this thread's loop.
    ///
    /// This makes it non-blocking, so the caller need not.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// coreloop::block_on(async {
    ///     let listener = coreloop::net::TcpListener::from_std(listener)?;
    ///     assert!(listener.local_addr()?.ip().is_loopback());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn from_std(listener: net::TcpListener) -> io::Result<Self> {
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
    /// that is out of descriptors, or at its [limit](Self::limit), leaves connections to the others
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
    pub fn from_std_exclusive(listener: net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            io: Async::from_owned_exclusive(listener)?,
            backoff: ListenerBackoff::default(),
        })
    }

    /// Leaves connections to the other loops that have the listener, until a task waits for
    /// one on this loop.
    pub(super) fn leave_to_others(&self) {
        self.io.leave_to_others();
    }

    /// Takes the listener off the loop, and converts it to a listener of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::TcpListener::set_nonblocking) to make it
    /// block again.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::TcpListener> {
        self.io.into_inner()
    }

    pub(super) fn from_nonblocking(listener: net::TcpListener) -> io::Result<Self> {
        Ok(Self {
            io: Async::from_owned(listener)?,
            backoff: ListenerBackoff::default(),
        })
    }
}

impl TryFrom<net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// Converts like [`TcpListener::from_std`].
    fn try_from(listener: net::TcpListener) -> io::Result<Self> {
        Self::from_std(listener)
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.get_ref().fmt(f)
    }
}
