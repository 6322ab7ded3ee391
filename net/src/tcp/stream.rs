//! A connection: how one comes to be, its reads and writes, and its halves.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;

use super::race::Race;
use super::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf, connect, split, split_owned, transfer,
};
use crate::addr::{self, ToSocketAddrs};

/// A TCP connection.
///
/// It reads and writes with the methods below, or through the
/// [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite)
/// traits of futures-io. To read in one task while another writes, take it apart
/// with [`split`](Self::split) or [`into_split`](Self::into_split).
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
            Some(address) => connect::connect(address).await,
            // In a box, so that the usual connect is no larger for it.
            None => Box::pin(Race::new(addresses, connect::open)).await,
        }
    }

    /// Reads some bytes into `buffer`, and says how many.
    ///
    /// `Ok(0)` means that the peer will send no more, or that `buffer` is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was read if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn serve(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// let mut buffer = [0; 1024];
    /// loop {
    ///     let count = stream.read(&mut buffer).await?;
    ///     if count == 0 {
    ///         return Ok(());
    ///     }
    ///     stream.write_all(&buffer[..count]).await?;
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        transfer::read(self, buffer)
    }

    /// Reads until `buffer` is full, and says how many bytes that is.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: bytes read so far are in `buffer`, but how many is lost.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer sends no more
    /// before `buffer` is full; otherwise those of [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn header(mut stream: coreloop::net::TcpStream) -> std::io::Result<u32> {
    /// let mut length = [0; 4];
    /// stream.read_exact(&mut length).await?;
    /// # Ok(
    /// u32::from_be_bytes(length)
    /// # )
    /// # }
    /// ```
    #[inline]
    pub fn read_exact(
        &mut self,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        transfer::read_exact(self, buffer)
    }

    /// Writes some of `bytes`, and says how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was written if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of the system call, such as
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe). No `SIGPIPE` is raised.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn greet(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// let count = stream.write(b"hello").await?;
    /// println!("{count} bytes are on their way");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        transfer::write(self, bytes)
    }

    /// Writes all of `bytes`.
    ///
    /// While the peer does not read, this waits and holds nothing but `bytes`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of `bytes` may be written, and how many is lost.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), and
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the system takes no more bytes.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn greet(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// stream.write_all(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Unpin {
        transfer::write_all(self, bytes)
    }

    /// Tells the peer that no more will be written. Reading goes on.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it completes the first time it is polled.
    ///
    /// # Errors
    ///
    /// Those of the system call. A connection that is gone already counts as shut
    /// down.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn finish(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// stream.write_all(b"that is all").await?;
    /// stream.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Unpin {
        transfer::shutdown(self)
    }

    /// Borrows the stream as a half that reads and a half that writes, for two
    /// futures of one task. It costs nothing.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Takes the stream apart into a half that reads and a half that writes, for
    /// two tasks. It costs one small allocation.
    ///
    /// Dropping the writing half shuts down the writing direction. The connection
    /// is closed when both halves are gone.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split_owned::split_owned(self)
    }

    pub(super) fn from_nonblocking(stream: OwnedFd) -> io::Result<TcpStream> {
        Ok(TcpStream {
            io: Async::from_owned(stream)?,
        })
    }

    /// Itself, as every type of this module lends its stream.
    #[inline]
    pub(super) fn stream(&self) -> &TcpStream {
        self
    }
}
