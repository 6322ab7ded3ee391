//! Byte streams: the logic that TCP and Unix streams share.
//!
//! All logic of a stream is in [`StreamSocket`], which is generic over the kind of socket.
//! `TcpStream`, `UnixStream` and their halves are thin types around one: their methods are
//! documentation and a call. This folder knows no kind of socket; each kind implements
//! [`StreamKind`], and invokes [`read_traits`] and [`write_traits`] for its types.
//!
//! How a transfer waits: every read and write is a small future around
//! `Async::poll_read_stream` or `poll_write_stream` or, for sockets on which a read may be
//! short with data left, `poll_read_with`. These keep one waker for each direction.
//! A direction therefore has one owner: `&mut` the stream, or one half. Methods that take
//! `&self` and wait (`peek`, `readable`, `ready`) have a waiter in each future, and the
//! traits on references remember every task that polls, so any number of tasks may wait.

mod futures;
mod poll;
mod poller;
mod socket;
mod traits;

#[cfg(feature = "hyper")]
mod hyper_io;
#[cfg(feature = "tokio-io")]
mod tokio_io;

pub(crate) use self::socket::{StreamKind, StreamSocket};
pub(crate) use self::traits::{read_traits, shared_traits, write_traits};
