//! A connection: how one comes to be, and what it is besides a flow of bytes. How
//! it reads and writes is in [`crate::stream`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::time::Duration;

use coreloop_runtime::io::Async;
use socket2::{SockRef, Type};

use super::sys::{self, Connect};
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, SocketAddr, UCred, WriteHalf, credentials};
use crate::stream::{ByteStream, byte_stream, readiness, stream_readiness, stream_traits};

/// How long `connect` leaves a listener alone whose queue is full: first, and at
/// most. It doubles in between.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// A connection between two Unix sockets.
///
/// It reads and writes with the methods below, or through the
/// [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite)
/// traits of futures-io, which references to it have too: any number of tasks may
/// read or write through references, and each is woken when it may go on. To read in
/// one task while another writes, take it apart with [`split`](Self::split) or
/// [`into_split`](Self::into_split).
///
/// Descriptors that a peer sends along are not received, and closed by the system.
/// Who wants them does their own `recvmsg`, in [`async_io`](Self::async_io).
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
    pub(super) io: Async<OwnedFd>,
}

impl UnixStream {
    /// Connects to the listener at `path`.
    ///
    /// While the queue of the listener is full it tries again, after a millisecond
    /// first and every 50 ms later, as the system tells of no change.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempt is given up and its socket closed.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as [`NotFound`](io::ErrorKind::NotFound) if
    /// nothing is there, and [`ConnectionRefused`](io::ErrorKind::ConnectionRefused)
    /// if the socket there has no listener any more. Also if no runtime is running
    /// here.
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
    pub async fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::of_path(path.as_ref())?).await
    }

    /// As [`connect`](Self::connect), to an address, which may be an abstract name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempt is given up and its socket closed.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        let to = address.to_system()?;
        let stream = UnixStream::from_nonblocking(sys::socket(Type::STREAM)?)?;
        let [mut pause, longest] = PAUSES;
        loop {
            match sys::connect(stream.io.get_ref(), &to)? {
                Connect::Done => return Ok(stream),
                Connect::Started => {
                    stream.io.write_with(sys::finish_connect).await?;
                    return Ok(stream);
                }
                Connect::Full => {
                    stream.io.sleep(pause).await;
                    pause = longest.min(pause * 2);
                }
            }
        }
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of the system call, or if no runtime is running here.
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
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = crate::sys::pair(Type::STREAM)?;
        Ok((
            UnixStream::from_nonblocking(one.into())?,
            UnixStream::from_nonblocking(other.into())?,
        ))
    }

    /// Who is at the other end, as the system saw it.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call;
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the socket has no peer; and
    /// [`Unsupported`](io::ErrorKind::Unsupported) on systems that report no credentials.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        credentials::peer_cred(self)
    }

    /// The address of this end, which has one if it was accepted.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// The address of the other end, which has one if it accepted.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self)
    }

    /// Takes the error the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Puts a stream of the standard library on this thread's loop.
    ///
    /// It is made non-blocking here, so there is nothing to prepare.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
    pub fn from_std(stream: net::UnixStream) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        UnixStream::from_nonblocking(stream.into())
    }

    /// Takes the stream off the loop, as one of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::UnixStream::set_nonblocking) if it is to
    /// block.
    ///
    /// # Errors
    ///
    /// If the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UnixStream> {
        self.io.into_inner().map(net::UnixStream::from)
    }

    pub(super) fn from_nonblocking(stream: OwnedFd) -> io::Result<UnixStream> {
        Ok(UnixStream {
            io: Async::from_owned(stream)?,
        })
    }
}

byte_stream!(UnixStream, "coreloop::net::UnixStream");
readiness!(
    UnixStream,
    "coreloop::net::UnixStream",
    "try_read",
    "try_write"
);
stream_readiness!(UnixStream, "coreloop::net::UnixStream");
stream_traits!(
    UnixStream,
    ReadHalf<'_>, WriteHalf<'_>;
    OwnedReadHalf, OwnedWriteHalf;
);

impl ByteStream for UnixStream {
    const SHORT_READS_EMPTY: bool = false;

    #[inline]
    fn io(&self) -> &Async<OwnedFd> {
        &self.io
    }
}

impl TryFrom<net::UnixStream> for UnixStream {
    type Error = io::Error;

    /// The same as [`UnixStream::from_std`].
    fn try_from(stream: net::UnixStream) -> io::Result<UnixStream> {
        UnixStream::from_std(stream)
    }
}

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UnixStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
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
