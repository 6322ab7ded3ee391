//! What a stream is besides a flow of bytes: a descriptor with options and
//! addresses, and a stream of the standard library.

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use socket2::SockRef;

use super::{TcpStream, sys};

impl TcpStream {
    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self)
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the peer has reset the
    /// connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        sys::peer_addr(self)
    }

    /// Whether small writes are sent at once. See [`set_nodelay`](Self::set_nodelay).
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn nodelay(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_nodelay()
    }

    /// Sets `TCP_NODELAY`: if on, a small write is sent at once instead of waiting
    /// for the acknowledgement of the last one.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_nodelay(nodelay)
    }

    /// The time to live of the packets this stream sends.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(self).ttl_v4()
    }

    /// Sets how many hops the packets this stream sends may take.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        SockRef::from(self).set_ttl_v4(ttl)
    }

    /// How long closing waits for unsent bytes. See [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets `SO_LINGER`.
    ///
    /// `None`, the default, lets the system send what is left after the stream is
    /// dropped. Zero makes dropping discard it and reset the connection. Anything
    /// longer may make dropping the stream block, and with it the whole loop.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
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
    pub fn from_std(stream: net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        TcpStream::from_nonblocking(stream.into())
    }

    /// Takes the stream off the loop, as one of the standard library.
    ///
    /// It stays non-blocking: call
    /// [`set_nonblocking(false)`](net::TcpStream::set_nonblocking) if it is to
    /// block.
    ///
    /// # Errors
    ///
    /// If the system cannot deregister it.
    pub fn into_std(self) -> io::Result<net::TcpStream> {
        self.io.into_inner().map(net::TcpStream::from)
    }
}

impl TryFrom<net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// The same as [`TcpStream::from_std`].
    fn try_from(stream: net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.get_ref().as_raw_fd()
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
