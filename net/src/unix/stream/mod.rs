//! [`UnixStream`]: how a connection is made, and its conversions. The logic of its reads and
//! writes is in [`StreamSocket`].

mod descriptors;
mod reading;
mod writing;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::io::{Interest, Ready};
use socket2::{SockRef, Type};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, SocketAddr, UCred, WriteHalf, credentials};
use crate::stream::{StreamKind, StreamSocket};
use crate::sys::unix::{self as sys, Connecting};

/// How long `connect` waits while the queue of the listener is full: at first, and at most.
/// The time doubles from one attempt to the next.
const CONNECT_BACKOFF: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// The kind of socket in a [`UnixStream`].
pub(super) enum Unix {}

impl StreamKind for Unix {
    const SHORT_READ_MEANS_DRAINED: bool = false;
}

/// A connection between two Unix sockets.
///
/// It reads and writes with the methods below, or through the traits
/// [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite) of
/// futures-io. References implement these traits too: any number of tasks may read or write
/// through references, and each is woken when it can continue. To read in one task while
/// another writes, take the stream apart with [`split`](Self::split) or
/// [`into_split`](Self::into_split).
///
/// Descriptors are sent by [`send_with_fds`](Self::send_with_fds), and received by
/// [`recv_with_fds`](Self::recv_with_fds). All other ways to read close the descriptors that
/// they meet.
///
/// Dropping the stream closes the connection.
///
/// # Examples
///
/// ```no_run
/// use coreloop::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let mut stream = UnixStream::connect("/run/greeter.sock").await?;
///     stream.write_all(b"hello\n").await?;
///     let mut buffer = [0; 64];
///     let count = stream.read(&mut buffer).await?;
///     println!("{}", buffer[..count].escape_ascii());
///     Ok(())
/// })
/// # }
/// ```
pub struct UnixStream {
    socket: StreamSocket<Unix>,
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// While the queue of the listener is full, this tries again, first after a millisecond,
    /// and later every 50 ms, because no event reports that the queue has room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempt is abandoned and its socket closed.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`NotFound`](io::ErrorKind::NotFound) if nothing is at `path`, and
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if no listener uses the socket
    /// there. Also returns an error outside a runtime.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// use coreloop::net::UnixStream;
    ///
    /// let stream = UnixStream::connect("/run/greeter.sock").await?;
    /// # drop(stream);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_path(path.as_ref())?).await
    }

    /// Connects like [`connect`](Self::connect) to an address, which may be an abstract name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempt is abandoned and its socket closed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`connect`](Self::connect).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let to = address.to_system()?;
        let stream = Self::from_nonblocking(sys::socket(Type::STREAM)?)?;
        let io = stream.socket.io();
        let [mut backoff, longest] = CONNECT_BACKOFF;
        loop {
            match sys::connect(io.get_ref(), &to)? {
                Connecting::Done => return Ok(stream),
                Connecting::InProgress => {
                    io.write_with(sys::finish_connect).await?;
                    return Ok(stream);
                }
                Connecting::QueueFull => {
                    io.sleep(backoff).await;
                    backoff = longest.min(backoff * 2);
                }
            }
        }
    }

    /// Creates two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let (mut one, mut other) = UnixStream::pair()?;
    /// one.write_all(b"hello").await?;
    /// let mut buffer = [0; 5];
    /// other.read_exact(&mut buffer).await?;
    /// assert_eq!(&buffer, b"hello");
    /// # Ok(()) })
    /// # }
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = crate::sys::pair(Type::STREAM)?;
        Ok((
            Self::from_nonblocking(one.into())?,
            Self::from_nonblocking(other.into())?,
        ))
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
    /// # async fn wait(stream: coreloop::net::UnixStream) -> std::io::Result<()> {
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

    /// Returns the credentials of the process at the other end, as the system recorded them.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails,
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the socket has no peer, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) on systems that report no credentials.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        credentials::peer_cred(self)
    }

    /// Returns the address of this end. A stream that was accepted has one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self).map(SocketAddr::from)
    }

    /// Returns the address of the other end. A stream that was connected has one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self).map(SocketAddr::from)
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
    pub fn from_std(stream: net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::from_nonblocking(stream.into())
    }

    /// Takes the stream off the loop, and converts it to a stream of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::UnixStream::set_nonblocking) to make it
    /// block again.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UnixStream> {
        self.socket.into_inner().map(net::UnixStream::from)
    }

    pub(super) fn from_nonblocking(stream: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: StreamSocket::from_nonblocking(stream)?,
        })
    }

    // Hidden, because only the listener of a supervised worker counts its connections.
    #[doc(hidden)]
    pub fn from_std_counted(stream: net::UnixStream) -> io::Result<Self> {
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
    pub(super) fn socket(&self) -> &StreamSocket<Unix> {
        &self.socket
    }
}

/// For functions that take a stream or a half of one.
impl AsRef<Self> for UnixStream {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl TryFrom<net::UnixStream> for UnixStream {
    type Error = io::Error;

    /// Converts like [`UnixStream::from_std`].
    fn try_from(stream: net::UnixStream) -> io::Result<Self> {
        Self::from_std(stream)
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixStream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("UnixStream");
        if let Ok(address) = self.local_addr() {
            fields.field("addr", &address);
        }
        if let Ok(address) = self.peer_addr() {
            fields.field("peer", &address);
        }
        fields.field("fd", &self.as_raw_fd()).finish()
    }
}
