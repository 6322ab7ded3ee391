//! [`ReceivedFds`]: the descriptors of a message, and whether some were lost.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags};

use crate::sys::{self, Message};

/// The maximum number of descriptors that can be sent with one message or one write.
pub const MAX_FDS: usize = sys::MAX_DESCRIPTORS;

/// The descriptors that were received with some bytes.
///
/// The system drops descriptors for which the receiving process has no room, because they
/// would exceed its limit (`RLIMIT_NOFILE`). The bytes are received all the same, so this is
/// no error of the call that received them: [`into_all`](Self::into_all) reports it.
///
/// All of these descriptors are closed on `exec`, and those that are not taken are closed when
/// the value is dropped.
///
/// # Examples
///
/// ```
/// use std::fs::File;
/// use std::os::fd::AsFd;
///
/// use coreloop::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (mut one, mut other) = UnixStream::pair()?;
/// let null = File::open("/dev/null")?;
/// one.send_with_fds(b"null", &[null.as_fd()]).await?;
///
/// let mut buffer = [0; 64];
/// let (count, fds) = other.recv_with_fds(&mut buffer).await?;
/// assert_eq!(&buffer[..count], b"null");
/// for fd in fds.into_all()? {
///     println!("{} bytes", File::from(fd).metadata()?.len());
/// }
/// # Ok(()) })
/// # }
/// ```
#[derive(Debug)]
#[must_use = "descriptors that are not taken are closed"]
pub struct ReceivedFds {
    fds: Vec<OwnedFd>,
    lost_some: bool,
}

impl ReceivedFds {
    pub(super) fn none() -> Self {
        Self {
            fds: Vec::new(),
            lost_some: false,
        }
    }

    /// Returns the parts of a message: its length, its descriptors and the sender.
    #[inline]
    pub(super) fn parts<A>(message: Message<A>) -> (usize, Self, A) {
        let fds = Self {
            fds: message.descriptors,
            lost_some: message.lost_some,
        };
        (message.length, fds, message.from)
    }

    /// Returns all descriptors that were sent, in the order in which they were sent. There are
    /// none if none were sent.
    ///
    /// # Errors
    ///
    /// Returns an error if some descriptors were lost, because the process has no room for
    /// them, or may not have them. Those that it did receive are closed.
    #[inline]
    pub fn into_all(self) -> io::Result<Vec<OwnedFd>> {
        if self.lost_some {
            return Err(some_are_lost());
        }
        Ok(self.fds)
    }

    /// Returns the descriptors that were received, even if others were lost. If so, these are
    /// the first ones of those that were sent.
    #[must_use]
    pub fn into_received(self) -> Vec<OwnedFd> {
        self.fds
    }

    /// Returns whether no descriptor was lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.lost_some
    }
}

/// Sends bytes with descriptors on any Unix socket, without the loop.
///
/// This is not for users, but for the other crates of coreloop, whose sockets may be
/// blocking.
///
/// # Errors
///
/// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) if there are more descriptors than
/// [`MAX_FDS`], or an error if the system call fails.
#[doc(hidden)]
pub fn send_with_fds(
    socket: impl AsFd,
    buffers: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    sys::send_with_descriptors(socket, buffers, fds, None, flags)
}

/// Reads bytes with descriptors from any Unix stream, without the loop.
///
/// This is not for users, but for the other crates of coreloop, like [`send_with_fds`].
///
/// # Errors
///
/// Returns an error if the system call fails.
#[doc(hidden)]
#[inline]
pub fn read_with_fds(
    stream: impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
    flags: RecvFlags,
) -> io::Result<(usize, ReceivedFds)> {
    let message = sys::read_with_descriptors(stream, buffers, flags)?;
    let (count, fds, ()) = ReceivedFds::parts(message);
    Ok((count, fds))
}

#[cold]
fn some_are_lost() -> io::Error {
    io::Error::other(
        "some of the descriptors that were sent are lost: this process has no room for them \
         (see RLIMIT_NOFILE), or may not have them",
    )
}
