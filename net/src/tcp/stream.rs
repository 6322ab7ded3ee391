//! A connection: how one comes to be. What it does then is in [`crate::stream`].

use std::io;
use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;

use super::connect::Unconnected;
use super::race::Race;
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::addr::{self, ToSocketAddrs};
use crate::stream::{ByteStream, byte_stream, readiness, stream_readiness, stream_traits};

/// A TCP connection.
///
/// It reads and writes with the methods below, or through the
/// [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite)
/// traits of futures-io, which references to it have too: any number of tasks may
/// read or write through references, and each is woken when it may go on. To read in
/// one task while another writes, take it apart with [`split`](Self::split) or
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
    pub(super) io: Async<OwnedFd>,
}

impl TcpStream {
    /// Connects to `address`.
    ///
    /// If it stands for several addresses, as a name may, they race in the way of
    /// RFC 8305 ("Happy Eyeballs"): one after another is tried, IPv6 and IPv4 in
    /// turn; the next as soon as one fails, or after 250 ms without an answer; and
    /// the first that answers wins. There is no time limit but the system's; see
    /// `coreloop::time::timeout` for a shorter one, and [`Connector`](super::Connector)
    /// for another delay, a local address or a resolver of your own.
    ///
    /// Where nothing listens, the system may connect a socket to itself: when it chooses
    /// the very port to connect from that is connected to. Such a connection counts as
    /// refused.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the attempts are given up and their sockets closed.
    ///
    /// # Errors
    ///
    /// That of the last address to fail, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused), where one that
    /// cannot be reached from here (no route, no such family) counts only if none
    /// can; that of the lookup; or [`InvalidInput`](io::ErrorKind::InvalidInput) if
    /// there was no address to try. Also if no runtime is running here.
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
    pub async fn connect<A: ToSocketAddrs>(address: A) -> io::Result<TcpStream> {
        let addresses = addr::resolve(address).await?;
        match addresses.single() {
            Some(address) => Unconnected::for_address(address)?.connect(address).await,
            // In a box, so that the usual connect is no larger for it.
            None => Box::pin(Race::new(addresses, Unconnected::for_address)).await,
        }
    }

    pub(super) fn from_nonblocking(stream: OwnedFd) -> io::Result<TcpStream> {
        Ok(TcpStream {
            io: Async::from_owned(stream)?,
        })
    }
}

byte_stream!(TcpStream, "coreloop::net::TcpStream");
readiness!(
    TcpStream,
    "coreloop::net::TcpStream",
    "try_read",
    "try_write"
);
stream_readiness!(TcpStream, "coreloop::net::TcpStream");
stream_traits!(
    TcpStream,
    ReadHalf<'_>, WriteHalf<'_>;
    OwnedReadHalf, OwnedWriteHalf;
);

impl ByteStream for TcpStream {
    // Miri's epoll forgets an end of stream that a short read came upon.
    const SHORT_READS_EMPTY: bool = !cfg!(miri);

    #[inline]
    fn io(&self) -> &Async<OwnedFd> {
        &self.io
    }
}
