//! Receiving descriptors that are closed on `exec` from the start.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::RecvFlags;

pub(crate) const RECEIVE_DESCRIPTORS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// The flag has had this effect.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other platforms make a system call"
)]
pub(crate) fn close_on_exec(_received: &OwnedFd) -> io::Result<()> {
    Ok(())
}
