//! The BSDs and macOS: kqueue.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::Interest;
use rustix::fs::Stat;

pub(crate) use super::unsupported::{IS_EXCLUSIVE, NO_DIRECTION, TimerFd, add_exclusive, remove};

pub(crate) const IS_EPOLL: bool = false;

pub(crate) const READ_INTEREST: Interest = Interest::READABLE;

/// The longest timeout that is passed to kevent(2), which on macOS accepts no more than
/// 100,000,000 seconds. After a wait that ends early the loop waits again.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn limit_wait(timeout: Option<Duration>) -> Option<Duration> {
    timeout.map(|timeout| timeout.min(LONGEST_WAIT))
}

pub(crate) fn file_status(fd: BorrowedFd<'_>) -> Option<Stat> {
    rustix::fs::fstat(fd).ok()
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> rustix::io::Result<()> {
    rustix::io::ioctl_fionbio(fd, nonblocking)
}

/// These systems do not report the CPU time of a thread.
pub(crate) fn thread_cpu_time() -> Duration {
    Duration::ZERO
}
