//! Byte streams, whatever their sockets: what TCP and Unix streams have in common,
//! written once.
//!
//! A stream is an `Async<OwnedFd>` and says so as a [`ByteStream`]. The bytes go
//! through the functions of [`transfer`]; the methods around them, which are many
//! and mostly documentation, come from macros: of the stream itself (`methods`,
//! `readiness`), of its halves (`halves`, `split`), and the traits of futures-io
//! (`traits`). Each macro is used once for each kind of socket. The traits of hyper
//! and tokio, and what can be spliced, are in lists of all kinds.
//!
//! How a transfer waits: every read and write is a small future around
//! `Async::poll_read_stream` or `poll_write_stream`, which keep one waker per
//! direction. A direction therefore has one owner: `&mut` the stream, or one half.
//! What takes `&self` and waits (`peek`, `readable`, `ready`) has a waiter of its
//! own in each future, and the traits on references note every task that polls, so
//! that any number of tasks may wait at once.

mod halves;
mod methods;
mod readiness;
mod splice;
mod split;
mod traits;

#[cfg(feature = "hyper")]
mod hyper_io;
#[cfg(feature = "tokio-io")]
mod tokio_io;

pub(crate) mod transfer;

use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;

pub(crate) use self::halves::{reading_half, writing_half};
pub(crate) use self::methods::byte_stream;
pub(crate) use self::readiness::{readiness, stream_readiness};
pub(crate) use self::split::{borrowed_halves, owned_halves};
pub(crate) use self::traits::{async_read, async_write, stream_traits};

/// A connected socket that carries bytes.
pub(crate) trait ByteStream {
    /// Whether a read that gives less than it might shows that nothing is left,
    /// so that the next one need not ask.
    ///
    /// It does not on a Unix socket: a read ends with a message that brought
    /// descriptors, whoever sent them and whether or not anybody wants them, and
    /// with the last byte of one sender if the next has other credentials. What
    /// is left makes no further edge.
    const SHORT_READS_EMPTY: bool;

    fn io(&self) -> &Async<OwnedFd>;
}
