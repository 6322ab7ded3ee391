//! [`UdpSocket`]: how one is created, and datagrams with their addresses. Datagrams of a
//! connected socket are in [`crate::datagram`].

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use coreloop_runtime::io::Async;
use rustix::net::RecvFlags;
use socket2::SockRef;

use crate::addr::{self, ToSocketAddrs};
use crate::sys::udp as sys;

/// A UDP socket.
///
/// A socket exchanges datagrams with one peer, after [`connect`](Self::connect), by
/// [`send`](Self::send) and [`recv`](Self::recv), or with many, by [`send_to`](Self::send_to)
/// and [`recv_from`](Self::recv_from).
///
/// All methods take `&self`, so any number of tasks may share one socket, for example in an
/// [`Rc`](std::rc::Rc), and send and receive at the same time.
///
/// Datagrams may be lost, duplicated and reordered. A datagram that is longer than the buffer
/// that receives it is cut off.
///
/// # Examples
///
/// ```no_run
/// use coreloop::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let socket = UdpSocket::bind("127.0.0.1:7777").await?;
///     let mut buffer = [0; 1500];
///     loop {
///         let (count, from) = socket.recv_from(&mut buffer).await?;
///         socket.send_to(&buffer[..count], from).await?;
///     }
/// })
/// # }
/// ```
pub struct UdpSocket {
    pub(super) io: Async<OwnedFd>,
    /// An error that followed the first datagrams of a batch.
    pub(super) late_error: Cell<Option<io::Error>>,
}

impl UdpSocket {
    /// Binds a socket to `address`.
    ///
    /// Port 0 asks the system for a free port. If `address` stands for several addresses, they
    /// are tried in turn until one can be bound.
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
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let mut last_error = None;
        for address in addr::resolve(address).await? {
            match sys::bind(address) {
                Ok(socket) => return Self::from_nonblocking(socket),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(addr::no_addresses))
    }

    /// Connects to `address`: [`send`](Self::send) sends to it, and only its datagrams and its
    /// refusals are received.
    ///
    /// No packet is sent for this. If `address` stands for several addresses, the socket is
    /// connected to the first that the system accepts.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the socket is unchanged if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns the error of the last address tried; the error of the lookup; or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `address` stands for no address.
    pub async fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        let mut last_error = None;
        for address in addr::resolve(address).await? {
            match SockRef::from(self).connect(&address.into()) {
                Ok(()) => return Ok(()),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(addr::no_addresses))
    }

    /// Sends a datagram to `address`, and returns how many bytes were sent: always all of
    /// them.
    ///
    /// If `address` stands for several addresses, the datagram is sent to the first. Any
    /// number of tasks may send. The future waits while the system has no room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as `EMSGSIZE` if there are too many
    /// bytes for one datagram; the error of the lookup; or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `address` stands for no address.
    pub async fn send_to<A: ToSocketAddrs>(&self, bytes: &[u8], address: A) -> io::Result<usize> {
        let mut addresses = addr::resolve(address).await?;
        let to = addresses.next().ok_or_else(addr::no_addresses)?;
        self.io
            .write_with(|socket| sys::send_to(socket, bytes, to))
            .await
    }

    /// Polls like [`send_to`](Self::send_to). Only the task that polled to send last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.io
            .poll_write_with(cx, |socket| sys::send_to(socket, bytes, to))
    }

    /// Sends like [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system has no room, or an
    /// error like [`send_to`](Self::send_to).
    pub fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.io
            .try_write_with(|socket| sys::send_to(socket, bytes, to))
    }

    /// Receives like [`recv`](Self::recv), and returns the sender too.
    ///
    /// **Bytes that do not fit in `buffer` are lost.**
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, RecvFlags::empty()).await
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
        self.io.poll_read_with(cx, |socket| {
            sys::receive_from(socket, buffer, RecvFlags::empty())
        })
    }

    /// Receives like [`recv_from`](Self::recv_from), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_recv`](Self::try_recv).
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .try_read_with(|socket| sys::receive_from(socket, buffer, RecvFlags::empty()))
    }

    /// Receives like [`recv_from`](Self::recv_from), without removing the datagram.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram is removed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, RecvFlags::PEEK).await
    }

    /// Polls like [`peek_from`](Self::peek_from). Only the task that polled to receive last is
    /// woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io.poll_read_with(cx, |socket| {
            sys::receive_from(socket, buffer, RecvFlags::PEEK)
        })
    }

    /// Receives like [`peek_from`](Self::peek_from), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_recv`](Self::try_recv).
    pub fn try_peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .try_read_with(|socket| sys::receive_from(socket, buffer, RecvFlags::PEEK))
    }

    /// Waits for a datagram, and returns its sender.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram is removed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        let (_, from) = self.peek_from(&mut []).await?;
        Ok(from)
    }

    /// Polls like [`peek_sender`](Self::peek_sender). Only the task that polled to receive
    /// last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_peek_from(cx, &mut []).map_ok(|(_, from)| from)
    }

    /// Returns the sender like [`peek_sender`](Self::peek_sender), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_recv`](Self::try_recv).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.try_peek_from(&mut []).map(|(_, from)| from)
    }

    /// Returns the address that this socket is bound to.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// Returns the address that this socket is connected to.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`NotConnected`](io::ErrorKind::NotConnected).
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

    /// Puts a socket of the standard library on this thread's loop, for example one with
    /// options of socket2.
    ///
    /// This makes it non-blocking, so the caller need not.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    pub fn from_std(socket: net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::from_nonblocking(socket.into())
    }

    /// Takes the socket off the loop, and converts it to a socket of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::UdpSocket::set_nonblocking) to make it
    /// block again.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::UdpSocket> {
        self.io.into_inner().map(net::UdpSocket::from)
    }

    async fn receive_from(
        &self,
        buffer: &mut [u8],
        flags: RecvFlags,
    ) -> io::Result<(usize, SocketAddr)> {
        self.io
            .read_with(|socket| sys::receive_from(socket, buffer, flags))
            .await
    }

    fn from_nonblocking(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            io: Async::from_owned(socket)?,
            late_error: Cell::new(None),
        })
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
    }
}

impl TryFrom<net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    /// Converts like [`UdpSocket::from_std`].
    fn try_from(socket: net::UdpSocket) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("UdpSocket");
        if let Ok(address) = self.local_addr() {
            fields.field("addr", &address);
        }
        if let Ok(address) = self.peer_addr() {
            fields.field("peer", &address);
        }
        fields.field("fd", &self.as_raw_fd()).finish()
    }
}
