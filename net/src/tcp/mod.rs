//! TCP: listeners, streams, and the halves of a stream.
//!
//! [`TcpListener`], [`TcpStream`], [`TcpSocket`] and [`Connector`] are re-exported
//! one level up; the halves that [`TcpStream::split`] and [`TcpStream::into_split`]
//! give are here.
//!
//! How a transfer waits, for the reader of the source: every read and write is a
//! small future around `Async::poll_read_stream` or `poll_write_stream` (in
//! `transfer`), which keep one waker per direction. A direction therefore has one
//! owner: `&mut TcpStream`, or one half. What takes `&self` and waits (`accept`,
//! `peek`, `readable`, `writable`) has a waiter of its own in each future, and
//! any number of tasks may wait at once.

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
mod readiness;

#[macro_use]
mod halves;
mod split;
mod split_owned;

#[cfg(feature = "hyper")]
mod hyper_io;
mod splice;
mod sys;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod traits;
mod transfer;

pub use connector::Connector;
pub use limited::LimitedListener;
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;
