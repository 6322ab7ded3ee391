//! TCP: listeners, streams, and the halves of a stream.
//!
//! [`TcpListener`], [`TcpStream`], [`TcpSocket`] and [`Connector`] are re-exported
//! one level up; the halves that [`TcpStream::split`] and [`TcpStream::into_split`]
//! give are here.

mod listener;
mod socket;
mod stream;

mod accepting;
mod connect;
mod connector;
mod limited;
mod race;
mod tuning;

mod options;
mod split;
mod split_owned;

mod sys;

pub use connector::Connector;
pub use limited::LimitedListener;
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;
