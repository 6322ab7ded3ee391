//! The reactor's own descriptor, which `mio` shows only as a number.
#![expect(
    unsafe_code,
    reason = "a borrow of a descriptor that mio owns and shows raw"
)]

use std::os::fd::{AsFd, BorrowedFd};

use crate::engine::reactor::Reactor;

impl AsFd for Reactor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is that of the `mio::Poll` in `self`, which stays where it
        // is and open for as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.raw_fd) }
    }
}
