//! Halves that borrow the stream: for two futures of one task.

use std::net::SocketAddr;

use super::TcpStream;
use crate::stream::borrowed_halves;

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
pub struct ReadHalf<'a>(pub(super) &'a TcpStream);

/// The half of a borrowed [`TcpStream`] that writes, from [`TcpStream::split`].
///
/// Dropping it shuts nothing down: the stream is still whole.
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a TcpStream);

borrowed_halves!(TcpStream, SocketAddr, "coreloop::net::tcp");
