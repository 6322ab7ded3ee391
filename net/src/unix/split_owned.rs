//! Halves that own the stream together: for two tasks.

use std::rc::Rc;

use super::{SocketAddr, UnixStream};
use crate::stream::owned_halves;

/// The half of a [`UnixStream`] that reads, from [`UnixStream::into_split`].
///
/// # Examples
///
/// ```
/// use coreloop::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let (one, mut other) = UnixStream::pair()?;
///     let (mut reader, mut writer) = one.into_split();
///     writer.write_all(b"hello").await?;
///     drop(writer); // The other end now reads to the end.
///
///     let mut greeting = [0; 8];
///     assert_eq!(other.read(&mut greeting).await?, 5);
///     assert_eq!(other.read(&mut greeting).await?, 0);
///     other.write_all(b"ok").await?;
///     assert_eq!(reader.read(&mut greeting).await?, 2);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf {
    pub(super) stream: Rc<UnixStream>,
}

/// The half of a [`UnixStream`] that writes, from [`UnixStream::into_split`].
///
/// Dropping it shuts down the writing direction, so that the peer reads to the
/// end; [`forget`](Self::forget) drops it without that.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    pub(super) stream: Rc<UnixStream>,
    pub(super) shutdown_on_drop: bool,
}

owned_halves!(UnixStream, SocketAddr, "coreloop::net::unix");
