//! The reactor's own descriptor, which `mio` returns only as a number.
#![expect(
    unsafe_code,
    reason = "borrows a descriptor that mio owns and returns as a number"
)]

use std::os::fd::{AsFd, BorrowedFd};

use crate::engine::reactor::Reactor;

impl AsFd for Reactor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is the descriptor of the `mio::Poll` in `self`, which is neither
        // closed nor replaced while `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.raw_fd) }
    }
}
