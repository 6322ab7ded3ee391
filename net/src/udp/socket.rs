//! [`UdpSocket`]: how one comes to be, and datagrams with their addresses. Those
//! without are in [`crate::datagram`].

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll};

use coreloop_runtime::io::Async;
use rustix::net::RecvFlags;
use socket2::SockRef;

use super::sys;
use crate::addr::{self, ToSocketAddrs};
use crate::datagram::datagrams;
use crate::stream::readiness;

/// A UDP socket.
///
/// It talks to one peer, after [`connect`](Self::connect), with
/// [`send`](Self::send) and [`recv`](Self::recv), or to many, with
/// [`send_to`](Self::send_to) and [`recv_from`](Self::recv_from).
///
/// All methods take `&self`, so one socket may be shared by any number of tasks, in
/// an [`Rc`](std::rc::Rc) for instance. Any number may send and receive at once.
///
/// Datagrams may be lost, doubled and overtaken; one that is longer than the buffer
/// that receives it is cut off there.
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
    /// What went wrong after the first datagrams of a batch.
    pub(super) late_error: Cell<Option<io::Error>>,
}

impl UdpSocket {
    /// Binds a socket to `address`.
    ///
    /// Port 0 asks the system for a free port. If `address` stands for several
    /// addresses, they are tried in turn until one can be bound.
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
    pub async fn bind<A: ToSocketAddrs>(address: A) -> io::Result<UdpSocket> {
        let mut last_error = None;
        for address in addr::resolve(address).await? {
            match sys::bind(address) {
                Ok(socket) => return UdpSocket::from_nonblocking(socket),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(addr::no_addresses))
    }

    /// Connects to `address`: [`send`](Self::send) goes there, and only what comes
    /// from there is received, refusals included.
    ///
    /// Nothing is sent for it. If `address` stands for several addresses, the first
    /// that the system takes is the one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the socket is as before if the future did not complete.
    ///
    /// # Errors
    ///
    /// That of the last address tried; that of the lookup; or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there was no address to try.
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

    /// Sends a datagram to `address`, and says how many bytes went, which are all.
    ///
    /// If `address` stands for several addresses, it goes to the first. Any number
    /// of tasks may send. It waits while the system has no room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as `EMSGSIZE` if there are too many bytes for
    /// one datagram; that of the lookup; or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there was no address.
    pub async fn send_to<A: ToSocketAddrs>(&self, bytes: &[u8], address: A) -> io::Result<usize> {
        let mut addresses = addr::resolve(address).await?;
        let to = addresses.next().ok_or_else(addr::no_addresses)?;
        self.io
            .write_with(|socket| sys::send_to(socket, bytes, to))
            .await
    }

    /// Polls as [`send_to`](Self::send_to) awaits. Only the task that polled to send
    /// last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.io
            .poll_write_with(cx, |socket| sys::send_to(socket, bytes, to))
    }

    /// Sends as [`send_to`](Self::send_to), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system has no room; otherwise
    /// those of [`send_to`](Self::send_to).
    pub fn try_send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.io
            .try_write_with(|socket| sys::send_to(socket, bytes, to))
    }

    /// Receives as [`recv`](Self::recv), and tells who from.
    ///
    /// **What does not fit in `buffer` is lost.**
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, RecvFlags::empty()).await
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
        self.io.poll_read_with(cx, |socket| {
            sys::receive_from(socket, buffer, RecvFlags::empty())
        })
    }

    /// Receives as [`recv_from`](Self::recv_from), without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .try_read_with(|socket| sys::receive_from(socket, buffer, RecvFlags::empty()))
    }

    /// Receives as [`recv_from`](Self::recv_from), without taking the datagram.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, RecvFlags::PEEK).await
    }

    /// Polls as [`peek_from`](Self::peek_from) awaits. Only the task that polled to
    /// receive last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.io.poll_read_with(cx, |socket| {
            sys::receive_from(socket, buffer, RecvFlags::PEEK)
        })
    }

    /// Peeks as [`peek_from`](Self::peek_from), without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io
            .try_read_with(|socket| sys::receive_from(socket, buffer, RecvFlags::PEEK))
    }

    /// Waits for a datagram, and tells who it is from.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        let (_, from) = self.peek_from(&mut []).await?;
        Ok(from)
    }

    /// Polls as [`peek_sender`](Self::peek_sender) awaits. Only the task that polled
    /// to receive last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.poll_peek_from(cx, &mut []).map_ok(|(_, from)| from)
    }

    /// Peeks as [`peek_sender`](Self::peek_sender), without waiting.
    ///
    /// # Errors
    ///
    /// Those of [`try_recv`](Self::try_recv).
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.try_peek_from(&mut []).map(|(_, from)| from)
    }

    /// The address this socket is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        crate::sys::local_addr(self)
    }

    /// The address this socket is connected to.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        crate::sys::peer_addr(self)
    }

    /// Puts a socket of the standard library on this thread's loop, one with options
    /// of socket2 for instance.
    ///
    /// It is made non-blocking here, so there is nothing to prepare.
    ///
    /// # Errors
    ///
    /// If no runtime is running here, or the system call fails.
    pub fn from_std(socket: net::UdpSocket) -> io::Result<UdpSocket> {
        socket.set_nonblocking(true)?;
        UdpSocket::from_nonblocking(socket.into())
    }

    /// Takes the socket off the loop, as one of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::UdpSocket::set_nonblocking) if it is to
    /// block.
    ///
    /// # Errors
    ///
    /// If the system cannot deregister it.
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

    fn from_nonblocking(socket: OwnedFd) -> io::Result<UdpSocket> {
        Ok(UdpSocket {
            io: Async::from_owned(socket)?,
            late_error: Cell::new(None),
        })
    }
}

datagrams!(UdpSocket, "coreloop::net::UdpSocket");
readiness!(
    UdpSocket,
    "coreloop::net::UdpSocket",
    "try_recv",
    "try_send"
);

impl TryFrom<net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    /// The same as [`UdpSocket::from_std`].
    fn try_from(socket: net::UdpSocket) -> io::Result<UdpSocket> {
        UdpSocket::from_std(socket)
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
