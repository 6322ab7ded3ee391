//! The descriptors of frames, which a master and a worker send through a socket of their own.
//!
//! So the frames themselves can be read by read(2), which costs less than recvmsg(2), and which
//! drops descriptors.
//!
//! # Invariants
//!
//! 1. The descriptors of a frame are sent before its first byte, in a message of one byte, and
//!    in the order of the frames. So they are there when a frame says that it has descriptors.
//! 2. The code that reads the header of a frame takes its descriptors, even if the frame is skipped.
//!    So the next message belongs to the next frame that has any.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::SendFlags;

use super::{Header, LOST, garbled};
use crate::ipc::wire::rights::{Descriptors, Lost, receive};
use crate::ipc::wire::send_slices;
use crate::job::encoded::Attachment;

/// Sends the descriptors of a frame.
pub(crate) fn send(
    side: BorrowedFd<'_>,
    descriptors: &[OwnedFd],
    flags: SendFlags,
) -> rustix::io::Result<()> {
    send_slices(side, &[IoSlice::new(&[0])], descriptors, flags).map(drop)
}

/// Takes the descriptors of the frame with this header.
///
/// # Errors
///
/// Returns an error if the descriptors are not there.
#[inline]
pub(crate) fn take(side: BorrowedFd<'_>, header: Header) -> io::Result<Attachment> {
    if header.descriptors == 0 {
        return Ok(Attachment::default());
    }
    take_some(side, header.descriptors).map(Attachment::from)
}

#[cold]
fn take_some(side: BorrowedFd<'_>, count: u8) -> io::Result<Descriptors> {
    if count == LOST {
        return Ok(Err(Lost));
    }
    let missing = || garbled("a frame without the descriptors that it announces");
    let received = receive(side, &mut [0]).map_err(|_| missing())?;
    match received.descriptors {
        Some(Ok(descriptors)) if descriptors.len() == usize::from(count) => Ok(Ok(descriptors)),
        Some(Err(Lost)) => Ok(Err(Lost)),
        _ => Err(missing()),
    }
}

#[cfg(test)]
#[cfg(not(miri))] // It knows no descriptors in messages.
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::frame::{Kind, Ticket};
    use crate::sys;

    fn header(descriptors: u8) -> Header {
        Header {
            length: 0,
            kind: Kind::Done,
            descriptors,
            function: 0,
            ticket: Ticket::NONE,
            job: 0,
        }
    }

    fn some(count: usize) -> Vec<OwnedFd> {
        let pipe = || io::pipe().unwrap().0.into();
        (0..count).map(|_| pipe()).collect()
    }

    #[test]
    fn each_frame_takes_its_own_descriptors() {
        let (one, other) = sys::stream_pair().unwrap();
        for count in [1, 3, 253] {
            send(one.as_fd(), &some(count), sys::send_flags()).unwrap();
        }
        for count in [0, 1, 0, 3, 253] {
            let came = take(other.as_fd(), header(count)).unwrap();
            let came = came.into_descriptors().unwrap();
            assert_eq!(came.len(), usize::from(count));
        }
        let lost = take(other.as_fd(), header(LOST)).unwrap();
        assert_eq!(lost.into_descriptors().unwrap_err(), Lost);
    }

    #[test]
    fn a_frame_that_announces_other_descriptors_is_an_error() {
        let (one, other) = sys::stream_pair().unwrap();
        let error = take(other.as_fd(), header(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        send(one.as_fd(), &some(2), sys::send_flags()).unwrap();
        take(other.as_fd(), header(1)).unwrap_err();
        rustix::io::write(&one, &[0]).unwrap();
        take(other.as_fd(), header(1)).unwrap_err();
        drop(one);
        take(other.as_fd(), header(1)).unwrap_err();
    }
}
