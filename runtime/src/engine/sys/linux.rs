//! Linux and Android: epoll.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::{Interest, Token};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::Stat;

pub(crate) use super::timerfd::TimerFd;

pub(crate) const IS_EPOLL: bool = true;

/// It includes urgent data, whose mark ends a read early.
pub(crate) const READ_INTEREST: Interest = Interest::READABLE.add(Interest::PRIORITY);

/// Linux has `EPOLLEXCLUSIVE`.
pub(crate) const IS_EXCLUSIVE: bool = true;

/// The interest that a source has while its exclusive registration is removed.
pub(crate) const NO_DIRECTION: Interest = Interest::PRIORITY;

#[inline]
pub(crate) fn limit_wait(timeout: Option<Duration>) -> Option<Duration> {
    timeout
}

/// Adds `fd` to the epoll instance `poll`. Events have `token`, as they have in mio,
/// which does not support exclusive registrations.
pub(crate) fn add_exclusive(poll: impl AsFd, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
    let flags = EventFlags::IN | EventFlags::ET | EventFlags::EXCLUSIVE;
    let data = EventData::new_u64(token.0 as u64);
    Ok(epoll::add(poll, fd, data, flags)?)
}

pub(crate) fn remove(poll: impl AsFd, fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(epoll::delete(poll, fd)?)
}

pub(crate) fn file_status(fd: BorrowedFd<'_>) -> Option<Stat> {
    rustix::fs::fstat(fd).ok()
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> rustix::io::Result<()> {
    rustix::io::ioctl_fionbio(fd, nonblocking)
}

/// Returns the first number of `schedstat`, which is in nanoseconds: see
/// `Documentation/scheduler/sched-stats` of the kernel.
pub(crate) fn thread_cpu_time() -> Duration {
    let nanos = fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|line| line.split_whitespace().next()?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
