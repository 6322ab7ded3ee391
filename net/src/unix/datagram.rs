//! [`UnixDatagram`]: messages between processes of one machine.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::io::Async;
use coreloop_runtime::time::Sleep;
use socket2::{SockRef, Type};

use super::{SocketAddr, sys};
use crate::datagram::datagrams;
use crate::stream::readiness;

/// A Unix socket that sends and receives whole messages.
///
/// They arrive in order and none is lost, but one that is longer than the buffer
/// that receives it is cut off there.
///
/// All methods take `&self`, so one socket may be shared by any number of tasks.
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
    /// The rest of `poll_send_to`'s pause; `send_to` keeps its own in its future.
    pause: Cell<Option<Pin<Box<Sleep>>>>,
}

/// How long a receiver is left alone whose queue is full, by who is not connected to
/// it. There is no event when it has room; but each try that fails makes one, as it
/// takes and gives back memory of the sender's, so those cannot be waited for.
const PAUSE: Duration = Duration::from_millis(5);

impl UnixDatagram {
    /// Binds a socket to `path`, which must not be there yet. It stays when the
    /// socket is dropped.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as [`AddrInUse`](io::ErrorKind::AddrInUse).
    /// Also if no runtime is running here.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&SocketAddr::of_path(path.as_ref())?)
    }

    /// As [`bind`](Self::bind), to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        rustix::net::bind(&socket, &address.to_system()?)?;
        Ok(socket)
    }

    /// A socket without an address: it can send, but nobody can answer.
    ///
    /// # Errors
    ///
    /// Those of the system call, or if no runtime is running here.
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_nonblocking(sys::socket(Type::DGRAM)?.into())
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// Those of the system call, or if no runtime is running here.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = crate::sys::pair(Type::DGRAM)?;
        Ok((
            UnixDatagram::from_nonblocking(one.into())?,
            UnixDatagram::from_nonblocking(other.into())?,
        ))
    }

    /// Connects to the socket at `path`: [`send`](Self::send) goes there, and only
    /// what comes from there is received.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as [`NotFound`](io::ErrorKind::NotFound).
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.connect_addr(&SocketAddr::of_path(path.as_ref())?)
    }

    /// As [`connect`](Self::connect), to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        Ok(rustix::net::connect(self, &address.to_system()?)?)
    }

    /// Sends a datagram to the socket at `path`, and says how many bytes went, which
    /// are all.
    ///
    /// It waits while the receiver has no room. Of that the system tells only who is
    /// connected, so here it is tried again every few milliseconds; if the receiver
    /// is often slow, better connect.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as [`NotFound`](io::ErrorKind::NotFound).
    pub async fn send_to<P: AsRef<Path>>(&self, bytes: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(bytes, &SocketAddr::of_path(path.as_ref())?)
            .await
    }

    /// As [`send_to`](Self::send_to), to an address, which may be an abstract name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to).
    pub async fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let to = address.to_system()?;
        let send = |socket: &_| sys::send_unless_full(socket, bytes, &to);
        loop {
            if let Some(count) = self.io.write_with(send).await? {
                return Ok(count);
            }
            // It is; but without the runtime this fails, and the sleep would not end.
            self.io.writable().await?;
            self.io.sleep(PAUSE).await;
        }
    }

    /// Polls as [`send_to`](Self::send_to) awaits. Only the task that polled to send
    /// last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to).
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        path: P,
    ) -> Poll<io::Result<usize>> {
        let to = SocketAddr::of_path(path.as_ref())?.to_system()?;
        loop {
            if let Some(mut rest) = self.pause.take()
                && rest.as_mut().poll(cx).is_pending()
            {
                self.pause.set(Some(rest));
                return Poll::Pending;
            }
            let send = |socket: &_| sys::send_unless_full(socket, bytes, &to);
            if let Some(count) = ready!(self.io.poll_write_with(cx, send))? {
                return Poll::Ready(Ok(count));
            }
            // As in `send_to_addr`.
            ready!(self.io.poll_writable(cx))?;
            self.pause.set(Some(Box::pin(self.io.sleep(PAUSE))));
        }
    }

    /// Sends as [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the receiver has no room;
    /// otherwise those of [`send_to`](Self::send_to).
    pub fn try_send_to<P: AsRef<Path>>(&self, bytes: &[u8], path: P) -> io::Result<usize> {
        let to = SocketAddr::of_path(path.as_ref())?.to_system()?;
        self.io
            .try_write_with(|socket| sys::send_to(socket, bytes, &to))
    }

    /// Receives as [`recv`](Self::recv), and tells who from.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .read_with(|socket| socket.recv_from(buffer))
            .await
            .map(with_address)
    }

    /// Polls as [`recv_from`](Self::recv_from) awaits. Only the task that polled to
    /// receive last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io
            .poll_read_with(cx, |socket| socket.recv_from(buffer))
            .map_ok(with_address)
    }

    /// Receives as [`recv_from`](Self::recv_from), without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .try_read_with(|socket| socket.recv_from(buffer))
            .map(with_address)
    }

    /// Shuts down one direction or both. The peer is not told, and Linux does not
    /// wake who receives here.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self).shutdown(how)
    }

    /// The address of this socket.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr().map(SocketAddr::from)
    }

    /// The address that this socket is connected to.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr().map(SocketAddr::from)
    }

    /// Puts a socket of the standard library on this thread's loop.
    ///
    /// It is made non-blocking here, so there is nothing to prepare.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        socket.set_nonblocking(true)?;
        UnixDatagram::from_nonblocking(socket)
    }

    /// Takes the socket off the loop, as one of the standard library. It stays
    /// non-blocking.
    ///
    /// # Errors
    ///
    /// If the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UnixDatagram> {
        self.io.into_inner()
    }

    fn from_nonblocking(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        Ok(UnixDatagram {
            io: Async::from_owned(socket)?,
            pause: Cell::new(None),
        })
    }
}

fn with_address((count, from): (usize, net::SocketAddr)) -> (usize, SocketAddr) {
    (count, from.into())
}

datagrams!(UnixDatagram, "coreloop::net::UnixDatagram");
readiness!(
    UnixDatagram,
    "coreloop::net::UnixDatagram",
    "try_recv",
    "try_send"
);

impl TryFrom<net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    /// The same as [`UnixDatagram::from_std`].
    fn try_from(socket: net::UnixDatagram) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(socket)
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
