//! Accepting connections.

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;

use super::{LimitedListener, TcpStream, sys};
use crate::accept::{self, Pause};
use crate::addr::{self, ToSocketAddrs};
use crate::{ConnectionLimit, Incoming};

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
    io: Async<net::TcpListener>,
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

    /// Accepts at least one connection, and with it those that are queued already:
    /// up to `max` in all, which go to the end of `connections`. Says how many.
    ///
    /// This saves going through the loop for each when many come at once. They are
    /// taken one by one in a single poll, so a large `max` keeps other tasks
    /// waiting.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. Those that are not in `connections` stay
    /// in the queue.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept), and then nothing was added. What fails after
    /// a connection was accepted is left to the next call.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let _first = TcpStream::connect(listener.local_addr()?).await?;
    ///     let _second = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut connections = Vec::new();
    ///     assert_eq!(listener.accept_many(&mut connections, 64).await?, 2);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn accept_many(
        &self,
        connections: &mut Vec<(TcpStream, SocketAddr)>,
        max: usize,
    ) -> io::Result<usize> {
        assert!(max > 0, "accept_many needs room for a connection");
        connections.push(self.accept().await?);
        let mut count = 1;
        while count < max
            && let Some(connection) = self.accept_queued()
        {
            connections.push(connection);
            count += 1;
        }
        Ok(count)
    }

    /// Takes a connection that is queued already. Whatever is wrong is found again
    /// by who waits for the next one.
    pub(super) fn accept_queued(&self) -> Option<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.io.try_read_with(sys::accept).ok()?;
        let stream = TcpStream::from_nonblocking(stream).ok()?;
        Some((stream, peer))
    }

    /// The connections, one after another, as a
    /// [`Stream`](futures_core::Stream) of what [`accept`](Self::accept) gives,
    /// without the addresses.
    ///
    /// Each of several streams gets some of the connections.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpStream};
    /// use futures_lite::StreamExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         assert_eq!(stream?.peer_addr()?, client.local_addr()?);
    ///         # break;
    ///     }
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn incoming(&self) -> Incoming<'_, TcpStream> {
        Incoming::new(move || async move { Ok(self.accept().await?.0) })
    }

    /// As [`incoming`](Self::incoming), with the listener in the stream.
    pub fn into_incoming(self) -> Incoming<'static, TcpStream> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// Bounds how many connections are open at once: `accept` of what this returns
    /// waits while there are as many as that.
    ///
    /// Listeners that share a limit are given clones of one [`ConnectionLimit`].
    ///
    /// # Panics
    ///
    /// If the limit is 0.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:7777").await?.limit(1000);
    ///     loop {
    ///         let (mut stream, _peer) = listener.accept().await?;
    ///         // Whoever comes while a thousand of these tasks run waits in the queue.
    ///         coreloop::spawn(async move { stream.write_all(b"hello\n").await });
    ///     }
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn limit(self, limit: impl Into<ConnectionLimit>) -> LimitedListener {
        LimitedListener::new(self, limit.into())
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
