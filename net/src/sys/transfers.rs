//! Reads and writes with `recv`, `send` and `sendmsg`.
//!
//! rustix makes the system calls in place. The code of std around libc costs some 25
//! instructions more, which is a tenth of a whole echo.

use std::io::{self, IoSlice};
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{RecvFlags, SendAncillaryBuffer, sendmsg};

use crate::sys::NO_SIGPIPE;

pub(crate) const REPORTS_END_AFTER_SHORT_READ: bool = true;

/// Reads some bytes. With `PEEK`, the next read returns them again.
#[inline]
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (_, count) = rustix::net::recv(socket, buffer, flags)?;
    Ok(count)
}

/// Reads into memory that may be uninitialized, and returns the part that was filled.
#[inline]
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
pub(crate) fn receive_into(
    socket: impl AsFd,
    memory: &mut [MaybeUninit<u8>],
) -> io::Result<&mut [u8]> {
    let ((filled, _), _) = rustix::net::recv(socket, memory, RecvFlags::empty())?;
    Ok(filled)
}

/// Writes some bytes.
#[inline]
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, NO_SIGPIPE)?)
}

/// Writes from a list of buffers. `writev` would take no flags.
pub(crate) fn send_list(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut control = SendAncillaryBuffer::default();
    Ok(sendmsg(stream, buffers, &mut control, NO_SIGPIPE)?)
}
