//! tokio's trait for reading, for a socket that is polled by one task in each direction. It
//! needs no runtime of tokio.
//!
//! A `ReadBuf` may be uninitialized. The kernel writes there in place, as it does for hyper.
//!
//! # Invariants
//!
//! 1. One receiving call accesses the memory, and it only ever writes; so no byte becomes
//!    uninitialized.
//! 2. The buffer counts as initialized for the length of the slice that rustix returns as
//!    filled, which begins where the unfilled part does.
#![expect(
    unsafe_code,
    reason = "an uninitialized `ReadBuf` cannot be filled in place by safe code; see the \
              invariants above"
)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::StreamKind;
use super::poller::SinglePoller;
use crate::sys;

impl<K: StreamKind> AsyncRead for SinglePoller<'_, K> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = sys::limit_transfer(buffer.remaining());
        let read = self.0.poll_receive(cx, length, |socket| {
            // SAFETY: invariant 1.
            let unfilled = unsafe { buffer.unfilled_mut() };
            let count = sys::receive_into(socket, &mut unfilled[..length])?.len();
            // SAFETY: invariant 2.
            unsafe { buffer.assume_init(count) };
            buffer.advance(count);
            Ok(count)
        });
        read.map_ok(drop)
    }
}
