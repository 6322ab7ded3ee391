//! Miri, which interprets some of the system calls of its host.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::Interest;
use rustix::fs::{OFlags, Stat, fcntl_getfl, fcntl_setfl};

pub(crate) use super::unsupported::{IS_EXCLUSIVE, NO_DIRECTION, TimerFd, add_exclusive, remove};

/// Miri has an epoll where its host is Linux, without priority events.
pub(crate) const IS_EPOLL: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) const READ_INTEREST: Interest = Interest::READABLE;

pub(crate) fn limit_wait(timeout: Option<Duration>) -> Option<Duration> {
    timeout
}

/// Miri has no `fstat` for sockets.
pub(crate) fn file_status(_: BorrowedFd<'_>) -> Option<Stat> {
    None
}

/// Miri has no `ioctl` for this.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> rustix::io::Result<()> {
    let mut flags = fcntl_getfl(fd)?;
    flags.set(OFlags::NONBLOCK, nonblocking);
    fcntl_setfl(fd, flags)
}

/// It would be the time of the interpreter.
pub(crate) fn thread_cpu_time() -> Duration {
    Duration::ZERO
}
