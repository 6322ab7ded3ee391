//! Reads by way of the stack.
//!
//! hyper and tokio read into memory that holds nothing yet. To write there in
//! place takes unsafe code, and to fill it with zeros first costs more than most
//! reads; so the kernel fills a buffer on the stack, and what came is copied.

use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, recv};

use super::TcpStream;

/// The most that one read gives.
const SCRATCH: usize = 16 * 1024;

/// Reads up to `room` bytes, and calls `take` with those that came.
#[inline]
pub(super) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    room: usize,
    mut take: impl FnMut(&[u8]),
) -> Poll<io::Result<usize>> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH];
    let length = room.min(SCRATCH);
    stream.io.poll_read_stream(cx, length, |socket| {
        let ((bytes, _), count) = recv(socket, &mut scratch[..length], RecvFlags::empty())?;
        take(bytes);
        Ok(count)
    })
}
