//! hyper's trait for reading, for a socket that is polled by one task in each direction.
//!
//! hyper reads into memory that may be uninitialized. The kernel writes there in place: by
//! way of a buffer on the stack, which safe code would need, a large body costs nearly twice
//! the time.
//!
//! # Invariants
//!
//! 1. One receiving call accesses hyper's memory, and it only ever writes; so no byte
//!    becomes uninitialized.
//! 2. hyper's cursor advances by the length of the slice that rustix returns as filled,
//!    which begins where the unfilled part does.
#![expect(
    unsafe_code,
    reason = "hyper's cursor cannot be filled in place by safe code; see the invariants above"
)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor};

use super::StreamKind;
use super::poller::SinglePoller;
use crate::sys;

impl<K: StreamKind> Read for SinglePoller<'_, K> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = sys::limit_transfer(buffer.remaining());
        let read = self.0.poll_receive(cx, length, |socket| {
            // SAFETY: invariant 1.
            let unfilled = unsafe { buffer.as_mut() };
            let count = sys::receive_into(socket, &mut unfilled[..length])?.len();
            // SAFETY: invariant 2.
            unsafe { buffer.advance(count) };
            Ok(count)
        });
        read.map_ok(drop)
    }
}
