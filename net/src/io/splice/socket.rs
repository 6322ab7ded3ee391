//! The sockets that can be spliced. Each kind of socket invokes `splice_sockets`.

use std::os::fd::OwnedFd;

use coreloop_runtime::io::Async;
use futures_io::{AsyncRead, AsyncWrite};

/// A stream socket that lends its descriptor.
///
/// Other crates cannot name this trait, so that they cannot make system calls on the
/// descriptor.
pub trait Descriptor {
    fn descriptor(&self) -> &Async<OwnedFd>;
}

/// A socket that [`splice`](super::splice()) reads from.
///
/// All stream sockets of this crate and their reading halves implement it; no other type can.
pub trait SpliceSource: AsyncRead + Descriptor + Unpin {}

/// A socket that [`splice`](super::splice()) and
/// [`sendfile`](crate::io::sendfile) write to.
///
/// All stream sockets of this crate and their writing halves implement it; no other type can.
pub trait SpliceTarget: AsyncWrite + Descriptor + Unpin {}

/// Lends the descriptors of stream sockets and of their halves, for the directions that they
/// have.
macro_rules! splice_sockets {
    ($($type:ty: $($direction:ident)+;)+) => {$(
        impl $crate::io::Descriptor for $type {
            fn descriptor(&self) -> &coreloop_runtime::io::Async<std::os::fd::OwnedFd> {
                self.socket().io()
            }
        }

        $(impl $crate::io::$direction for $type {})+
    )+};
}

pub(crate) use splice_sockets;
