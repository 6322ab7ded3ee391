//! Halves that borrow the stream: for two futures of one task.

use std::io;
use std::net::SocketAddr;

use super::{TcpStream, transfer};

/// The half of a borrowed [`TcpStream`] that reads, from [`TcpStream::split`].
///
/// # Examples
///
/// ```
/// use coreloop::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let (mut reader, mut writer) = server.split();
///     writer.write_all(b"hello").await?;
///     client.shutdown().await?;
///     assert_eq!(reader.read(&mut [0; 8]).await?, 0);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The half of a borrowed [`TcpStream`] that writes, from [`TcpStream::split`].
///
/// Dropping it shuts nothing down: the stream is still whole.
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

pub(super) fn split(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

reading_half!(ReadHalf<'_>);
writing_half!(WriteHalf<'_>);

impl ReadHalf<'_> {
    #[inline]
    pub(super) fn stream(&self) -> &TcpStream {
        self.0
    }
}

impl WriteHalf<'_> {
    #[inline]
    pub(super) fn stream(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}
