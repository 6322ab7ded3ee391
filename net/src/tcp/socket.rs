//! [`TcpSocket`]: a socket before it becomes a stream or a listener.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use socket2::Socket;

use super::connect::Unconnected;
use super::{TcpListener, TcpStream};
use crate::sys::tcp as sys;

/// A TCP socket that has neither been connected nor started to listen.
///
/// It is for options that have to be set before: without them, [`TcpStream::connect`] and
/// [`TcpListener::bind`] suffice. The options are the same as in socket2, whose documentation
/// describes the differences between systems. An option that [`TcpStream`] or [`TcpListener`]
/// has too can also be set later.
///
/// Creating a socket needs no runtime; connecting and listening do.
///
/// # Examples
///
/// Two listeners of one port, among which Linux distributes the connections:
///
/// ```
/// use coreloop::net::{TcpListener, TcpSocket};
/// use std::net::SocketAddr;
///
/// fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuseaddr(true)?;
///     socket.set_reuseport(true)?;
///     socket.bind(address)?;
///     socket.listen(1024)
/// }
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let first = listen("127.0.0.1:0".parse().expect("an address"))?;
///     let second = listen(first.local_addr()?)?;
///     assert_eq!(first.local_addr()?, second.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpSocket {
    socket: Socket,
    /// Whether the socket was created elsewhere, and so may be blocking.
    from_outside: bool,
    /// Whether the caller has bound the socket to a port.
    has_port: Cell<bool>,
}

impl TcpSocket {
    /// Creates an IPv4 socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn new_v4() -> io::Result<Self> {
        Self::for_address((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Creates an IPv6 socket.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, for example because the system has no IPv6.
    pub fn new_v6() -> io::Result<Self> {
        Self::for_address((Ipv6Addr::UNSPECIFIED, 0).into())
    }

    /// Creates a socket of the family of `address`.
    pub(super) fn for_address(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            socket: sys::socket(address)?,
            from_outside: false,
            has_port: Cell::new(false),
        })
    }

    /// Binds the socket to a local address.
    ///
    /// Unlike [`TcpListener::bind`], this does not set `SO_REUSEADDR`: see
    /// [`set_reuseaddr`](Self::set_reuseaddr).
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&address.into())?;
        self.has_port.set(address.port() != 0);
        Ok(())
    }

    /// Connects to `address`.
    ///
    /// A connection of the socket to itself is refused, as described at
    /// [`TcpStream::connect`], unless the caller has [bound](Self::bind) the socket to that
    /// port.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempt is abandoned and the socket closed.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused), or
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if no local port is left. Also
    /// returns an error outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpSocket};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let socket = TcpSocket::new_v4()?;
    /// socket.set_nodelay(true)?;
    /// socket.set_keepalive_time(Duration::from_secs(60))?;
    /// let stream = socket.connect(listener.local_addr()?).await?;
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        Unconnected::new(self)?.connect(address).await
    }

    /// Listens for connections, with a queue for up to `backlog` of them. The system may
    /// reduce this number.
    ///
    /// If the socket has not been [bound](Self::bind), the system chooses a port, on all
    /// addresses.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the system call fails.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let socket = self.into_nonblocking()?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_nonblocking(socket.into())
    }

    /// Returns the address that this socket is bound to.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// Takes the error that the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Converts a socket that was created elsewhere, for example with options of socket2 that
    /// are missing here. The socket must be neither connected nor listening, although its type
    /// says so.
    ///
    /// It becomes non-blocking when it connects or listens, so the caller need not make it so.
    #[must_use]
    pub fn from_std_stream(stream: net::TcpStream) -> Self {
        Self::from(OwnedFd::from(stream))
    }

    /// Returns whether the caller has chosen the local port.
    pub(super) fn has_port(&self) -> bool {
        self.has_port.get()
    }

    pub(super) fn into_nonblocking(self) -> io::Result<Socket> {
        if self.from_outside {
            self.socket.set_nonblocking(true)?;
        }
        Ok(self.socket)
    }
}

/// Converts like [`TcpSocket::from_std_stream`].
impl From<OwnedFd> for TcpSocket {
    fn from(socket: OwnedFd) -> Self {
        // A socket that was bound elsewhere may have been given this port.
        let has_port = sys::local_addr(&socket).is_ok_and(|local| local.port() != 0);
        Self {
            socket: socket.into(),
            from_outside: true,
            has_port: Cell::new(has_port),
        }
    }
}

/// Returns the descriptor, which is non-blocking unless it was created elsewhere.
impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> Self {
        socket.socket.into()
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl IntoRawFd for TcpSocket {
    fn into_raw_fd(self) -> RawFd {
        self.socket.into_raw_fd()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("TcpSocket");
        if let Ok(address) = self.local_addr() {
            fields.field("addr", &address);
        }
        fields.field("fd", &self.as_raw_fd()).finish()
    }
}
