//! Unix sockets: streams, listeners and datagrams between the processes of one machine.
//!
//! [`UnixListener`], [`UnixStream`] and [`UnixDatagram`] are re-exported one level up.
//! [`SocketAddr`], [`UCred`], [`ReceivedFds`] and the halves of a stream are here.
//!
//! These sockets also send descriptors of files, pipes and sockets to other processes: see
//! [`UnixStream::send_with_fds`] and [`UnixDatagram::send_with_fds`].
//!
//! # Examples
//!
//! ```
//! use coreloop::net::UnixStream;
//!
//! # fn main() -> std::io::Result<()> {
//! coreloop::block_on(async {
//!     let (mut left, mut right) = UnixStream::pair()?;
//!     left.write_all(b"hello").await?;
//!     let mut text = [0; 5];
//!     right.read_exact(&mut text).await?;
//!     assert_eq!(&text, b"hello");
//!     println!("from process {:?}", right.peer_cred()?.pid());
//!     Ok(())
//! })
//! # }
//! ```

mod address;
mod credentials;
mod received;

mod listener;
mod stream;

mod split;
mod split_descriptors;
mod split_owned;
mod traits;

mod datagram;

pub use address::SocketAddr;
pub use credentials::UCred;
#[doc(hidden)]
pub use credentials::peer_cred;
pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use received::{MAX_FDS, ReceivedFds};
#[doc(hidden)]
pub use received::{read_with_fds, send_with_fds};
pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::UnixStream;

use stream::Unix;
