//! [`TcpStream`]: how a connection is made, and its conversions. The logic of its reads and
//! writes is in [`StreamSocket`].

mod reading;
mod writing;

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use coreloop_runtime::io::{Interest, Ready};
use socket2::SockRef;

use super::connect::Unconnected;
use super::happy_eyeballs::Race;
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::addr::{self, ToSocketAddrs};
use crate::stream::{StreamKind, StreamSocket};
use crate::sys;

/// The kind of socket in a [`TcpStream`].
pub(super) enum Tcp {}

impl StreamKind for Tcp {
    // Where the poller does not report the end of the stream after a short read, as under
    // Miri, a read that waited for an event after one would miss the end.
    const SHORT_READ_MEANS_DRAINED: bool = sys::REPORTS_END_AFTER_SHORT_READ;
}

/// A TCP connection.
///
/// It reads and writes with the methods below, or through the traits
/// [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite) of
/// futures-io. References implement these traits too: any number of tasks may read or write
/// through references, and each is woken when it can continue. To read in one task while
/// another writes, take the stream apart with [`split`](Self::split) or
/// [`into_split`](Self::into_split).
///
/// Dropping the stream closes the connection.
///
/// # Examples
///
/// ```no_run
/// use coreloop::net::TcpStream;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let mut stream = TcpStream::connect("127.0.0.1:7777").await?;
///     stream.write_all(b"hello\n").await?;
///     let mut buffer = [0; 64];
///     let count = stream.read(&mut buffer).await?;
///     println!("{}", buffer[..count].escape_ascii());
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpStream {
    socket: StreamSocket<Tcp>,
}

impl TcpStream {
    /// Connects to `address`.
    ///
    /// If `address` stands for several addresses, as a name may, they race as in RFC 8305
    /// ("Happy Eyeballs"): they are tried one after another, IPv6 and IPv4 in turn, the next
    /// one as soon as one fails or has not answered for 250 ms; the first that answers wins.
    /// Only the system limits the time: see `coreloop::time::timeout` for a shorter limit, and
    /// [`Connector`](super::Connector) for another delay, a local address or another resolver.
    ///
    /// If nothing listens at a local address, the system may connect a socket to itself, when
    /// it chooses the same port as the local port. Such a connection counts as refused.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempts are abandoned and their sockets closed.
    ///
    /// # Errors
    ///
    /// Returns the error of the last attempt, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused); an address that cannot be
    /// reached from here (no route, no such family) counts only if none can. Returns the error
    /// of the lookup if it fails, or [`InvalidInput`](io::ErrorKind::InvalidInput) if
    /// `address` stands for no address. Also returns an error outside a runtime.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// use coreloop::net::TcpStream;
    ///
    /// let stream = TcpStream::connect("localhost:7777").await?;
    /// println!("connected to {}", stream.peer_addr()?);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let addresses = addr::resolve(address).await?;
        match addresses.single() {
            Some(address) => Unconnected::for_address(address)?.connect(address).await,
            // Boxed, so that the usual connect is no larger because of the race.
            None => Box::pin(Race::new(addresses, Unconnected::for_address)).await,
        }
    }

    /// Waits until the stream is ready for something in `interest`, and returns its readiness.
    ///
    /// Any number of tasks may wait. The future may complete too early, so follow it with an
    /// operation that does not wait, in a loop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are transferred, and the stream stays ready.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn wait(stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// use coreloop::io::Interest;
    ///
    /// let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// println!("to read: {}, to write: {}", ready.is_readable(), ready.is_writable());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.socket.io().ready(interest).await
    }

    /// Calls `operation` once, without waiting, unless the loop knows that it would block.
    ///
    /// `operation` makes a system call on this socket, and returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) only if the system call did. The loop then
    /// takes the stream as not ready for `interest` until the system reports an event.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the loop knows that the stream is
    /// not ready, or the error of `operation`.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.socket.io().try_io(interest, |_| operation())
    }

    /// Calls `operation` each time the stream is ready for `interest`, until it returns
    /// anything but [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// `operation` has to behave as described at [`try_io`](Self::try_io). Any number of tasks
    /// may wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost if `operation` loses nothing when it would block.
    ///
    /// # Errors
    ///
    /// Returns the error of `operation`, or an error if the runtime has been dropped.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.socket.io().async_io(interest, |_| operation()).await
    }

    /// Borrows the stream as a half that reads and a half that writes, for two futures of one
    /// task. This costs nothing.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Takes the stream apart into a half that reads and a half that writes, for two tasks.
    /// This costs one small allocation.
    ///
    /// Dropping the writing half shuts down the writing direction. The connection is closed
    /// when both halves have been dropped.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Rc::new(self);
        let reader = OwnedReadHalf {
            stream: Rc::clone(&stream),
        };
        let writer = OwnedWriteHalf {
            stream,
            shutdown_on_drop: true,
        };
        (reader, writer)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the peer has reset the
    /// connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self)
    }

    /// Takes the error that the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Puts a stream of the standard library on this thread's loop.
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
    /// let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// coreloop::block_on(async {
    ///     let mut stream = coreloop::net::TcpStream::from_std(stream)?;
    ///     stream.write_all(b"hello").await
    /// })
    /// # }
    /// ```
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::from_nonblocking(stream.into())
    }

    /// Takes the stream off the loop, and converts it to a stream of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::TcpStream::set_nonblocking) to make it
    /// block again.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::TcpStream> {
        self.socket.into_inner().map(net::TcpStream::from)
    }

    pub(super) fn from_nonblocking(stream: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: StreamSocket::from_nonblocking(stream)?,
        })
    }

    // Hidden, because only the listener of a supervised worker counts its connections.
    #[doc(hidden)]
    pub fn from_std_counted(stream: net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::counted(stream.into())
    }

    /// Like `from_nonblocking`, for a connection that is counted.
    pub(super) fn counted(stream: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: StreamSocket::counted(stream)?,
        })
    }

    #[inline]
    pub(super) fn socket(&self) -> &StreamSocket<Tcp> {
        &self.socket
    }
}

/// For functions that take a stream or a half of one.
impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl TryFrom<net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// Converts like [`TcpStream::from_std`].
    fn try_from(stream: net::TcpStream) -> io::Result<Self> {
        Self::from_std(stream)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("TcpStream");
        if let Ok(address) = self.local_addr() {
            fields.field("addr", &address);
        }
        if let Ok(address) = self.peer_addr() {
            fields.field("peer", &address);
        }
        fields.field("fd", &self.as_raw_fd()).finish()
    }
}
