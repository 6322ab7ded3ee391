//! What can be spliced. A new kind of socket adds one line, where it lends its
//! descriptor.

use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;
use futures_io::{AsyncRead, AsyncWrite};

/// A stream socket that lends its descriptor. Out of users' reach, as the system
/// calls made through it would be theirs to get right.
pub trait Descriptor {
    fn descriptor(&self) -> &Async<OwnedFd>;
}

/// A socket that [`splice`](super::splice()) reads from.
///
/// All stream sockets of this crate and the halves of theirs that read
/// implement it; nothing else can.
pub trait SpliceSource: AsyncRead + Descriptor + Unpin {}

/// A socket that [`splice`](super::splice()) and
/// [`sendfile`](crate::io::sendfile) write to.
///
/// All stream sockets of this crate and the halves of theirs that write
/// implement it; nothing else can.
pub trait SpliceTarget: AsyncWrite + Descriptor + Unpin {}
