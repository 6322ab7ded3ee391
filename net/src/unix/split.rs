//! Halves that borrow the stream: for two futures of one task.

use super::{SocketAddr, UnixStream};
use crate::stream::borrowed_halves;

/// The half of a borrowed [`UnixStream`] that reads, from [`UnixStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a UnixStream);

/// The half of a borrowed [`UnixStream`] that writes, from [`UnixStream::split`].
///
/// Dropping it shuts nothing down: the stream is still whole.
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a UnixStream);

borrowed_halves!(UnixStream, SocketAddr, "coreloop::net::unix");
