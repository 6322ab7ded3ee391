//! Accepting connections.

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;

use super::{TcpStream, sys};
use crate::accept::{self, AcceptPause, Pause};
use crate::addr::{self, ToSocketAddrs};

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
    pause: Pause,
}

impl TcpListener {
    /// Binds a listener to `address`, with a queue of up to 1024 connections.
    ///
    /// Port 0 asks the system for a free port; [`local_addr`](Self::local_addr)
    /// tells which. If `address` stands for several addresses, they are tried in
    /// turn until one can be bound. On Unix `SO_REUSEADDR` is set, so that a
    /// restarted server gets its port back.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing stays bound.
    ///
    /// # Errors
    ///
    /// That of the last address tried, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse); that of the lookup; or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there was no address to
    /// try. Also if no runtime is running here.
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
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<TcpListener> {
        let mut last_error = None;
        for address in addr::resolve(address).await? {
            match sys::listen(address) {
                Ok(listener) => return TcpListener::from_nonblocking(listener),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(addr::no_addresses))
    }

    /// Accepts the next connection, and tells who it is from.
    ///
    /// Any number of tasks may accept from one listener; a connection goes to one
    /// of them.
    ///
    /// A connection that is gone before it could be accepted is skipped. When the
    /// process or the system is out of descriptors or memory, `accept` does not
    /// fail: it tries again every 50 ms, and goes on as soon as some are free.
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
        let (stream, peer) = accept::accept(&self.io, sys::accept).await?;
        Ok((TcpStream::from_nonblocking(stream)?, peer))
    }

    /// Polls for the next connection, as [`accept`](Self::accept) awaits it.
    ///
    /// Only the task that polled last is woken. For several tasks, use `accept`.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept::poll_accept(&self.io, &self.pause, cx, sys::accept))?;
        Poll::Ready(TcpStream::from_nonblocking(stream).map(|stream| (stream, peer)))
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
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(accept::poll_accept_shared(&self.io, pause, cx, sys::accept))?;
        Poll::Ready(TcpStream::from_nonblocking(stream).map(|stream| (stream, peer)))
    }

    /// The address this listener is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// The time to live of the packets this listener sends.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets how many hops the packets this listener sends may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(ttl)
    }

    /// Puts a listener of the standard library on this thread's loop.
    ///
    /// It is made non-blocking here, so there is nothing to prepare.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
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
    pub fn from_std(listener: net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_nonblocking(listener)
    }

    /// Puts a listener on this thread's loop from which others accept too: other
    /// processes or threads, each with a duplicate on a loop of its own.
    ///
    /// A connection wakes one of the loops that are idle (`EPOLLEXCLUSIVE`), where
    /// [`from_std`](Self::from_std) wakes them all, to find nothing. So who has such a
    /// listener goes on accepting: what it was woken for, nobody else is told of. One
    /// that wants no more connections takes the listener off the loop by
    /// [`into_std`](Self::into_std), and then accepts what is queued. One that is out of
    /// descriptors, or at its [limit](Self::limit), leaves connections to the others
    /// meanwhile. See
    /// [`Async::from_owned_exclusive`] for what happens when one dies.
    ///
    /// On other systems than Linux this is the same as `from_std`.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
    pub fn from_std_exclusive(listener: net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener {
            io: Async::from_owned_exclusive(listener)?,
            pause: Pause::default(),
        })
    }

    /// Leaves connections to other loops that have the listener too, until somebody
    /// waits for one here.
    pub(super) fn leave_to_others(&self) {
        self.io.leave_to_others();
    }

    /// Takes the listener off the loop, as one of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::TcpListener::set_nonblocking) if it is to
    /// block.
    ///
    /// # Errors
    ///
    /// If the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::TcpListener> {
        self.io.into_inner()
    }

    pub(super) fn from_nonblocking(listener: net::TcpListener) -> io::Result<TcpListener> {
        Ok(TcpListener {
            io: Async::from_owned(listener)?,
            pause: Pause::default(),
        })
    }
}

impl TryFrom<net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// The same as [`TcpListener::from_std`].
    fn try_from(listener: net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
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
