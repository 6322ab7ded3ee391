//! Unix sockets: streams, listeners and datagrams between processes of one machine.
//!
//! [`UnixListener`], [`UnixStream`] and [`UnixDatagram`] are re-exported one level
//! up; [`SocketAddr`], [`UCred`] and the halves of a stream are here.

mod address;
mod credentials;

mod listener;
mod stream;

mod split;
mod split_owned;

mod datagram;

mod sys;

pub use address::SocketAddr;
pub use credentials::UCred;
pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::UnixStream;
