//! The items that only Linux supports, for the other platforms.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::{Interest, Token};

pub(crate) const IS_EXCLUSIVE: bool = false;

/// Not used, because no registration is exclusive.
pub(crate) const NO_DIRECTION: Interest = Interest::WRITABLE;

pub(crate) fn add_exclusive(_: impl AsFd, _: BorrowedFd<'_>, _: Token) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn remove(_: impl AsFd, _: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is no timerfd: the wait in the kernel ends by its timeout.
#[derive(Debug)]
pub(crate) enum TimerFd {}

impl TimerFd {
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set(&self, _: Duration) -> io::Result<()> {
        match *self {}
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}
