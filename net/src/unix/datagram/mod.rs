//! [`UnixDatagram`]: messages between processes of one machine.

mod connected;
mod descriptors;
mod ready;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::io::Async;
use coreloop_runtime::time::Sleep;
use socket2::{SockRef, Type};

use super::SocketAddr;
use crate::sys::unix as sys;

/// A Unix socket that sends and receives whole messages.
///
/// Messages arrive in order, and none is lost, but a message that is longer than the buffer
/// that receives it is cut off.
///
/// All methods take `&self`, so any number of tasks may share one socket.
///
/// A message may bring descriptors, by [`send_with_fds`](Self::send_with_fds) and
/// [`recv_with_fds`](Self::recv_with_fds).
///
/// # Examples
///
/// ```
/// use coreloop::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (one, other) = UnixDatagram::pair()?;
/// one.send(b"hello").await?;
/// let mut buffer = [0; 64];
/// let count = other.recv(&mut buffer).await?;
/// assert_eq!(&buffer[..count], b"hello");
/// # Ok(()) })
/// # }
/// ```
pub struct UnixDatagram {
    io: Async<net::UnixDatagram>,
    /// The pause of `poll_send_to`. A future of `send_to` holds its own.
    backoff: Cell<Option<Pin<Box<Sleep>>>>,
}

/// How long an unconnected sender waits before it tries again to send to a receiver whose
/// queue is full. No event reports that the queue has room. Events do arrive, because each
/// attempt that fails takes and releases memory of the sender, so it is no use to wait for
/// them.
const SEND_BACKOFF: Duration = Duration::from_millis(5);

impl UnixDatagram {
    /// Binds a socket to `path`, which must not exist yet, and which remains when the socket
    /// is dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse). Also returns an error outside a runtime.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::bind_addr(&SocketAddr::from_path(path.as_ref())?)
    }

    /// Binds like [`bind`](Self::bind) to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Returns an error like [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let socket = Self::unbound()?;
        rustix::net::bind(&socket, &address.to_system()?)?;
        Ok(socket)
    }

    /// Creates a socket without an address: it can send, but receives no answers.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    pub fn unbound() -> io::Result<Self> {
        Self::from_nonblocking(sys::socket(Type::DGRAM)?.into())
    }

    /// Creates two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = crate::sys::pair(Type::DGRAM)?;
        Ok((
            Self::from_nonblocking(one.into())?,
            Self::from_nonblocking(other.into())?,
        ))
    }

    /// Connects to the socket at `path`: [`send`](Self::send) sends to it, and only its
    /// messages are received.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`NotFound`](io::ErrorKind::NotFound).
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_path(path.as_ref())?)
    }

    /// Connects like [`connect`](Self::connect) to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Returns an error like [`connect`](Self::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        Ok(rustix::net::connect(self, &address.to_system()?)?)
    }

    /// Sends a datagram to the socket at `path`, and returns how many bytes were sent: always
    /// all of them.
    ///
    /// The future waits while the receiver has no room. The system reports only to a connected
    /// sender when the receiver has room again, so this tries again every few milliseconds.
    /// Connect if the receiver is often slow.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`NotFound`](io::ErrorKind::NotFound).
    pub async fn send_to<P: AsRef<Path>>(&self, bytes: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(bytes, &SocketAddr::from_path(path.as_ref())?)
            .await
    }

    /// Sends like [`send_to`](Self::send_to) to an address, which may be an abstract name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_to`](Self::send_to).
    pub async fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let to = address.to_system()?;
        self.send_until_room(|socket| sys::send_unless_full(socket, bytes, &to))
            .await
    }

    /// Calls `send` until the receiver has room for the datagram.
    async fn send_until_room(
        &self,
        mut send: impl FnMut(&net::UnixDatagram) -> io::Result<Option<usize>>,
    ) -> io::Result<usize> {
        loop {
            if let Some(count) = self.io.write_with(&mut send).await? {
                return Ok(count);
            }
            // The socket is writable. But if the runtime has been dropped this returns an
            // error, whereas the sleep would never end.
            self.io.writable().await?;
            self.io.sleep(SEND_BACKOFF).await;
        }
    }

    /// Polls like [`send_to`](Self::send_to). Only the task that polled to send last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_to`](Self::send_to).
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        path: P,
    ) -> Poll<io::Result<usize>> {
        let to = SocketAddr::from_path(path.as_ref())?.to_system()?;
        loop {
            if let Some(mut rest) = self.backoff.take()
                && rest.as_mut().poll(cx).is_pending()
            {
                self.backoff.set(Some(rest));
                return Poll::Pending;
            }
            let send = |socket: &_| sys::send_unless_full(socket, bytes, &to);
            if let Some(count) = ready!(self.io.poll_write_with(cx, send))? {
                return Poll::Ready(Ok(count));
            }
            // This returns an error if the runtime has been dropped, like in `send_until_room`.
            ready!(self.io.poll_writable(cx))?;
            self.backoff
                .set(Some(Box::pin(self.io.sleep(SEND_BACKOFF))));
        }
    }

    /// Sends like [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the receiver has no room, or an
    /// error like [`send_to`](Self::send_to).
    pub fn try_send_to<P: AsRef<Path>>(&self, bytes: &[u8], path: P) -> io::Result<usize> {
        let to = SocketAddr::from_path(path.as_ref())?.to_system()?;
        self.io
            .try_write_with(|socket| sys::send_to(socket, bytes, &to))
    }

    /// Receives like [`recv`](Self::recv), and returns the sender too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .read_with(|socket| socket.recv_from(buffer))
            .await
            .map(with_address)
    }

    /// Polls like [`recv_from`](Self::recv_from). Only the task that polled to receive last is
    /// woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io
            .poll_read_with(cx, |socket| socket.recv_from(buffer))
            .map_ok(with_address)
    }

    /// Receives like [`recv_from`](Self::recv_from), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_recv`](Self::try_recv).
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .try_read_with(|socket| socket.recv_from(buffer))
            .map(with_address)
    }

    /// Shuts down one direction or both. The peer gets no notice, and Linux does not wake
    /// tasks that receive on this socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self).shutdown(how)
    }

    /// Returns the address of this socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr().map(SocketAddr::from)
    }

    /// Returns the address that this socket is connected to.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr().map(SocketAddr::from)
    }

    /// Takes the error that the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Puts a socket of the standard library on this thread's loop.
    ///
    /// This makes it non-blocking, so the caller need not.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::from_nonblocking(socket)
    }

    /// Takes the socket off the loop, and converts it to a socket of the standard library.
    ///
    /// It stays non-blocking.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UnixDatagram> {
        self.io.into_inner()
    }

    fn from_nonblocking(socket: net::UnixDatagram) -> io::Result<Self> {
        Ok(Self {
            io: Async::from_owned(socket)?,
            backoff: Cell::new(None),
        })
    }
}

fn with_address((count, from): (usize, net::SocketAddr)) -> (usize, SocketAddr) {
    (count, from.into())
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UnixDatagram {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl TryFrom<net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    /// Converts like [`UnixDatagram::from_std`].
    fn try_from(socket: net::UnixDatagram) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("UnixDatagram");
        if let Ok(address) = self.local_addr() {
            fields.field("addr", &address);
        }
        if let Ok(address) = self.peer_addr() {
            fields.field("peer", &address);
        }
        fields.field("fd", &self.as_raw_fd()).finish()
    }
}
