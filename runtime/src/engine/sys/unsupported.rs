//! What only Linux has, for the other platforms.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::{Interest, Token};

pub(crate) const IS_EXCLUSIVE: bool = false;

/// Not used, as no registration is exclusive.
pub(crate) const NO_DIRECTION: Interest = Interest::WRITABLE;

pub(crate) fn add_exclusive(_: impl AsFd, _: BorrowedFd<'_>, _: Token) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn remove(_: impl AsFd, _: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is none: the timeout of the wait ends it.
#[derive(Debug)]
pub(crate) enum TimerFd {}

impl TimerFd {
    pub(crate) fn new() -> io::Result<TimerFd> {
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
