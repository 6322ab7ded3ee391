//! Reads and writes with several buffers.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;

use super::{send, send_list};

/// The maximum number of buffers for one call: `UIO_MAXIOV`.
pub(crate) const MAX_BUFFERS: usize = 1024;

/// The maximum number of bytes that [`send_vectored`] copies into one buffer.
const GATHER_LIMIT: usize = 1024;

/// Reads into several buffers in turn.
pub(crate) fn receive_vectored(
    stream: &OwnedFd,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    Ok(rustix::io::readv(stream, buffers)?)
}

/// Writes from several buffers in turn.
///
/// Short messages, such as an HTTP head with a small body, are first copied into one buffer:
/// a list of buffers costs the kernel some 100 ns more than one buffer, and copying a
/// kilobyte takes some 20 ns.
pub(crate) fn send_vectored(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut room = [0; GATHER_LIMIT];
    match gather(buffers, &mut room) {
        Some(bytes) => send(stream, bytes),
        None => send_list(stream, buffers),
    }
}

/// Copies the bytes of several buffers into `room`, if they fit.
fn gather<'r>(buffers: &[IoSlice<'_>], room: &'r mut [u8; GATHER_LIMIT]) -> Option<&'r [u8]> {
    let mut length = 0;
    for buffer in buffers {
        let end = length + buffer.len();
        room.get_mut(length..end)?.copy_from_slice(buffer);
        length = end;
    }
    Some(&room[..length])
}
