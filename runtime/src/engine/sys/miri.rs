//! Miri, which supports some of the system calls of its host.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::Interest;
use rustix::fs::{OFlags, Stat, fcntl_getfl, fcntl_setfl};

pub(crate) use super::unsupported::{IS_EXCLUSIVE, NO_DIRECTION, TimerFd, add_exclusive, remove};

/// Miri has epoll if its host is Linux, but without urgent data.
pub(crate) const IS_EPOLL: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) const READ_INTEREST: Interest = Interest::READABLE;

pub(crate) fn limit_wait(timeout: Option<Duration>) -> Option<Duration> {
    timeout
}

/// Miri does not support `fstat` of sockets.
pub(crate) fn file_status(_: BorrowedFd<'_>) -> Option<Stat> {
    None
}

/// Miri does not support the `ioctl` for this.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> rustix::io::Result<()> {
    let mut flags = fcntl_getfl(fd)?;
    flags.set(OFlags::NONBLOCK, nonblocking);
    fcntl_setfl(fd, flags)
}

/// The CPU time of the thread would be the time of the interpreter.
pub(crate) fn thread_cpu_time() -> Duration {
    Duration::ZERO
}
