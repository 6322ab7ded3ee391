//! Miri, which has neither `recv` and `send` of a socket pair, nor `sendmsg`, nor splice(2).

use std::io::{self, IoSlice};
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::RecvFlags;

/// Miri's epoll does not report the end of a stream again that a short read has reached.
pub(crate) const REPORTS_END_AFTER_SHORT_READ: bool = false;

/// Reads some bytes. With `PEEK`, the next read returns them again.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    if flags.is_empty() {
        return Ok(rustix::io::read(socket, buffer)?);
    }
    let (_, count) = rustix::net::recv(socket, buffer, flags)?;
    Ok(count)
}

/// Reads into memory that may be uninitialized, and returns the part that was filled.
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
pub(crate) fn receive_into(
    socket: impl AsFd,
    memory: &mut [MaybeUninit<u8>],
) -> io::Result<&mut [u8]> {
    let (filled, _) = rustix::io::read(socket, memory)?;
    Ok(filled)
}

/// Writes some bytes.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(socket, bytes)?)
}

/// Writes from a list of buffers.
pub(crate) fn send_list(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(stream, buffers)?)
}
