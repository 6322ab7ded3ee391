//! A socket before it is a stream or a listener.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use socket2::Socket;

use super::connect::Unconnected;
use super::{TcpListener, TcpStream, sys};

/// A TCP socket that is neither connected nor listening yet.
///
/// It is for options that must be set before: [`TcpStream::connect`] and
/// [`TcpListener::bind`] are enough without them. The options are those of
/// socket2, which says what each system makes of them; those that a
/// [`TcpStream`] or [`TcpListener`] has as well can also be set later.
///
/// To make one needs no runtime; to connect or to listen does.
///
/// # Examples
///
/// Two listeners of one port, over which Linux spreads the connections:
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
    /// Whether it came from outside, where it may have been blocking.
    foreign: bool,
    /// Whether it was bound to a port that the caller gave.
    has_port: Cell<bool>,
}

impl TcpSocket {
    /// A new IPv4 socket.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::for_address((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// A new IPv6 socket.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as when the system has no IPv6.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::for_address((Ipv6Addr::UNSPECIFIED, 0).into())
    }

    /// A new socket of the family of `address`.
    pub(super) fn for_address(address: SocketAddr) -> io::Result<TcpSocket> {
        Ok(TcpSocket {
            socket: sys::socket(address)?,
            foreign: false,
            has_port: Cell::new(false),
        })
    }

    /// Binds the socket to a local address.
    ///
    /// Unlike [`TcpListener::bind`] this does not set `SO_REUSEADDR`: see
    /// [`set_reuseaddr`](Self::set_reuseaddr).
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.bind(&address.into())?;
        self.has_port.set(address.port() != 0);
        Ok(())
    }

    /// Connects to `address`.
    ///
    /// A socket that connects to its own address is refused, as
    /// [`TcpStream::connect`] says, unless it was [bound](Self::bind) to that port: then
    /// the connection is one of the socket to itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempt is given up and the socket closed.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused), or
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) when no local port is
    /// left. Also if no runtime is running here.
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

    /// Listens for connections, with a queue of up to `backlog` of them; the
    /// system may allow fewer.
    ///
    /// Without [`bind`](Self::bind) before, the system chooses a port, of all
    /// addresses.
    ///
    /// # Errors
    ///
    /// Those of the system call. Also if no runtime is running here.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let socket = self.into_nonblocking()?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_nonblocking(socket.into())
    }

    /// The address this socket is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// Takes the error the system has stored for this socket, if there is one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Takes a socket that was made elsewhere, for instance with socket2 and
    /// options that are missing here. It is neither connected nor listening,
    /// whatever its type says.
    ///
    /// It is made non-blocking when it connects or listens, so there is nothing
    /// to prepare.
    #[must_use]
    pub fn from_std_stream(stream: net::TcpStream) -> TcpSocket {
        TcpSocket::from(OwnedFd::from(stream))
    }

    /// Whether the caller chose the port that it connects from.
    pub(super) fn has_port(&self) -> bool {
        self.has_port.get()
    }

    pub(super) fn into_nonblocking(self) -> io::Result<Socket> {
        if self.foreign {
            self.socket.set_nonblocking(true)?;
        }
        Ok(self.socket)
    }
}

/// As [`TcpSocket::from_std_stream`].
impl From<OwnedFd> for TcpSocket {
    fn from(socket: OwnedFd) -> TcpSocket {
        // If it was bound elsewhere, the port may have been given there.
        let has_port = sys::local_addr(&socket).is_ok_and(|local| local.port() != 0);
        TcpSocket {
            socket: socket.into(),
            foreign: true,
            has_port: Cell::new(has_port),
        }
    }
}

/// The descriptor, which is non-blocking unless it came from elsewhere.
impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> OwnedFd {
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
