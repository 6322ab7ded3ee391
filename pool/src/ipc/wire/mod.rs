//! Messages with descriptors over a Unix stream socket: [`Incoming`], which reads them, and
//! [`Outgoing`], which writes them.
//!
//! A message is a header of eight bytes and a body. The header holds the length of the body, a
//! tag, whose meaning is the user's, and the number of descriptors, which the kernel carries
//! beside the bytes; see [`rights`].
//!
//! # Invariants
//!
//! 1. Descriptors are sent with the first byte of their message, in a system call that sends
//!    nothing of an earlier message, and no other descriptors.
//! 2. A message is written whole or not at all, as long as its `Outgoing` is kept: the rest of
//!    a message of which the socket took a part is written next.
//! 3. Nothing here depends on the mode of the socket: a write never waits, and neither does a
//!    read, except [`Incoming::fill`], which always does.

mod incoming;
mod outgoing;
pub(crate) mod rights;
#[cfg(test)]
#[cfg(not(miri))] // It knows no descriptors in messages.
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};

use crate::frame::garbled;
use crate::frame::reader::FrameHeader;

#[cfg(test)]
pub(crate) use incoming::Frame;
pub(crate) use incoming::Incoming;
pub(crate) use outgoing::{Outgoing, send_slices};

/// The length of a header.
pub(crate) const HEADER: usize = 8;

/// In place of the number of descriptors: the sender has lost them.
const LOST: u16 = u16::MAX;

/// The start of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    length: u32,
    tag: u16,
    descriptors: u16,
}

impl Header {
    /// The number of descriptors that were sent with the message. `None` if the sender has lost
    /// them.
    fn descriptors(&self) -> Option<usize> {
        (self.descriptors != LOST).then_some(usize::from(self.descriptors))
    }

    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.tag.to_le_bytes());
        bytes[6..].copy_from_slice(&self.descriptors.to_le_bytes());
        bytes
    }
}

impl FrameHeader for Header {
    const LENGTH: usize = HEADER;

    fn read(bytes: &[u8], max_length: usize) -> Option<io::Result<Self>> {
        let [l0, l1, l2, l3, t0, t1, d0, d1] = *bytes.first_chunk()?;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length as usize > max_length {
            let text = format!("a message of {length} bytes, and at most {max_length} are allowed");
            return Some(Err(garbled(&text)));
        }
        Some(Ok(Self {
            length,
            tag: u16::from_le_bytes([t0, t1]),
            descriptors: u16::from_le_bytes([d0, d1]),
        }))
    }

    fn body_length(&self) -> usize {
        self.length as usize
    }
}

/// Returns whether the system had no memory for a read or a write. It may have some soon, and nothing
/// was read or written.
pub(crate) fn is_short_of_memory(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOMEM | Errno::NOBUFS)
    )
}

/// Blocks this thread until one of these events, an error, or the end of the socket.
///
/// # Errors
///
/// Returns the error of the system call.
pub(crate) fn wait_for(socket: BorrowedFd<'_>, events: PollFlags) -> io::Result<PollFlags> {
    let mut watched = [PollFd::from_borrowed_fd(socket.as_fd(), events)];
    retry_on_intr(|| poll(&mut watched, None))?;
    Ok(watched[0].revents())
}
