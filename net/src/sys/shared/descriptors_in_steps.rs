//! Receiving descriptors that are closed on `exec` only after a second call, as Apple's systems
//! require: a child that another thread starts between the calls inherits them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::FdFlags;
use rustix::net::RecvFlags;

pub(crate) const RECEIVE_DESCRIPTORS: RecvFlags = RecvFlags::empty();

pub(crate) fn close_on_exec(received: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(received, FdFlags::CLOEXEC)?)
}
