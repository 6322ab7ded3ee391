//! Halves that own the stream together: for two tasks.

use std::net::SocketAddr;
use std::rc::Rc;

use super::TcpStream;
use crate::stream::owned_halves;

/// The half of a [`TcpStream`] that reads, from [`TcpStream::into_split`].
///
/// # Examples
///
/// ```
/// use coreloop::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let (mut reader, mut writer) = client.into_split();
///     let answer = coreloop::spawn(async move {
///         let mut answer = [0; 2];
///         reader.read_exact(&mut answer).await.map(|_| answer)
///     });
///     writer.write_all(b"hello").await?;
///     drop(writer); // The server now reads to the end.
///
///     let mut greeting = [0; 8];
///     assert_eq!(server.read(&mut greeting).await?, 5);
///     assert_eq!(server.read(&mut greeting).await?, 0);
///     server.write_all(b"ok").await?;
///     assert_eq!(&answer.await.expect("the task is not aborted")?, b"ok");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf {
    pub(super) stream: Rc<TcpStream>,
}

/// The half of a [`TcpStream`] that writes, from [`TcpStream::into_split`].
///
/// Dropping it shuts down the writing direction, so that the peer reads to the
/// end; [`forget`](Self::forget) drops it without that.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    pub(super) stream: Rc<TcpStream>,
    pub(super) shutdown_on_drop: bool,
}

owned_halves!(TcpStream, SocketAddr, "coreloop::net::tcp");
