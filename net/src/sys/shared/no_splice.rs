//! Platforms whose kernel does not move bytes between descriptors.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// A pipe that cannot be opened.
pub(crate) enum KernelPipe {}

impl KernelPipe {
    pub(crate) fn open() -> Option<Self> {
        None
    }

    pub(crate) fn fill_from(&self, _socket: &OwnedFd) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn empty_into(&self, _socket: &OwnedFd, _held: usize) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn drain(&self, _held: usize) -> io::Result<Vec<u8>> {
        match *self {}
    }
}

/// Refuses to send `range` of `file`.
pub(crate) fn sendfile(_: &OwnedFd, _: &File, _: &mut Range<u64>) -> io::Result<usize> {
    Err(Errno::NOSYS.into())
}
