//! Receiving bytes together with descriptors: [`receive`], and [`Rights`], the descriptors that
//! have come and whose frames are not complete.
//!
//! # Invariants
//!
//! 1. The descriptors of a frame are sent with its first byte, in a system call in which no other
//!    frame has any. The kernel returns them with the read that returns this byte, and a read
//!    returns the descriptors of one system call at most. So they belong to the frame that
//!    begins within the read and says that it has descriptors.
//! 2. The kernel drops descriptors for which a process has no room, and reports only that some
//!    are missing. A frame comes with all its descriptors or with none, and the frames after it
//!    keep theirs.
//! 3. Descriptors are received with `CLOEXEC`, so no child that is started meanwhile inherits
//!    them.
//! 4. A peer cannot fill this process with descriptors: those that came in the middle of a frame,
//!    or that no frame claims, are an error as soon as this is known.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};

use coreloop_net::unix::read_with_fds;
use rustix::event::PollFlags;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::RecvFlags;

use crate::frame::garbled;
use crate::sys;

/// The descriptors of a frame: all of them, or none if some were lost.
pub(crate) type Descriptors = Result<Vec<OwnedFd>, Lost>;

/// The error of a message whose descriptors were lost, because this process had no room for them,
/// or because the kernel has refused to send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the descriptors of a message were lost, because the sender or the receiver has no \
             room for more (see `ulimit -n`)",
        )
    }
}

impl std::error::Error for Lost {}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> Self {
        Self::other(lost)
    }
}

/// What one read has returned.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) count: usize,
    /// The descriptors that came with these bytes.
    pub(crate) descriptors: Option<Descriptors>,
}

impl Received {
    /// Returns whether a read of a stream into this much space has emptied the socket. It has
    /// not at the end of the stream, and where descriptors may have ended the read.
    pub(crate) fn is_short(&self, space: usize) -> bool {
        sys::READS_STOP_AFTER_DESCRIPTORS
            && self.descriptors.is_none()
            && self.count < space
            && self.count != 0
    }
}

/// Reads once without waiting.
///
/// # Errors
///
/// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing to read, or the error
/// of the system call.
pub(crate) fn receive(socket: BorrowedFd<'_>, space: &mut [u8]) -> io::Result<Received> {
    Ok(receive_with(socket, space, RecvFlags::DONTWAIT)?)
}

/// Reads once, and waits until there is something to read.
///
/// # Errors
///
/// Returns the error of the system call, unless a signal has interrupted it.
pub(crate) fn receive_waiting(socket: BorrowedFd<'_>, space: &mut [u8]) -> io::Result<Received> {
    loop {
        match retry_on_intr(|| receive_with(socket, space, RecvFlags::empty())) {
            // The socket, or a duplicate of it in another process, is non-blocking.
            Err(Errno::AGAIN) => {
                super::wait_for(socket, PollFlags::IN)?;
            }
            received => return Ok(received?),
        }
    }
}

fn receive_with(
    socket: BorrowedFd<'_>,
    space: &mut [u8],
    flags: RecvFlags,
) -> rustix::io::Result<Received> {
    let received = read_with_fds(socket, &mut [IoSliceMut::new(space)], flags);
    let (count, descriptors) = received.map_err(|error| errno(&error))?;
    let descriptors = match descriptors.into_all() {
        Ok(none) if none.is_empty() => None,
        all => Some(all.map_err(|_| Lost)),
    };
    Ok(Received { count, descriptors })
}

/// Returns the error of a system call, which the functions of `coreloop_net` return as it is.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::INVAL)
}

/// The descriptors that have come, and whose frames were not taken.
#[derive(Debug, Default)]
pub(crate) struct Rights(VecDeque<Came>);

/// The descriptors of one frame.
#[derive(Debug)]
struct Came {
    /// The positions in the stream of the bytes with which they came.
    with: Range<u64>,
    descriptors: Descriptors,
}

impl Rights {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the descriptors that came with the bytes at these positions.
    #[cold]
    pub(crate) fn came(&mut self, with: Range<u64>, descriptors: Descriptors) {
        self.0.push_back(Came { with, descriptors });
    }

    /// Checks that the descriptors which have come belong to the next frame, whose positions
    /// are `frame` and which says that it has `count` descriptors, or that they are lost. A frame of which only the
    /// start has come is checked again when there is more.
    ///
    /// # Errors
    ///
    /// Returns an error if descriptors are missing, or if there are some that no frame can
    /// claim (invariant 4).
    #[cold]
    pub(crate) fn check(&self, frame: &Range<u64>, count: Option<usize>) -> io::Result<()> {
        let mut came = self.0.iter();
        if let Some(count @ 1..) = count {
            let own = came.next().filter(|came| came.with.contains(&frame.start));
            let is_right = own.is_some_and(|own| match &own.descriptors {
                Ok(descriptors) => descriptors.len() == count,
                Err(Lost) => true,
            });
            if !is_right {
                return Err(garbled("a frame without the descriptors that it announces"));
            }
        }
        // The descriptors of a later frame came with bytes after the end of this one.
        if came.next().is_some_and(|other| other.with.end <= frame.end) {
            return Err(garbled("descriptors that belong to no frame"));
        }
        Ok(())
    }

    /// Takes the descriptors of a frame that was checked and has `count` of them.
    #[cold]
    pub(crate) fn take(&mut self, count: Option<usize>) -> Descriptors {
        match count {
            None => Err(Lost),
            Some(0) => Ok(Vec::new()),
            Some(_) => self.0.pop_front().map_or(Err(Lost), |own| own.descriptors),
        }
    }
}
