//! The futures of an echo: two polls of a [`Read`] and one of a [`WriteAll`].
//!
//! A task that waits for input consists mostly of the bytes of such a future: the socket and
//! the buffer. These futures are types, and not closures, so that their polls can be inlined
//! always.
#![expect(
    clippy::inline_always,
    reason = "left to itself the compiler inlines a read in one program and not in the next, \
              which costs 16 instructions of some 60"
)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{StreamKind, StreamSocket};

/// A read of some bytes.
pub(crate) struct Read<'s, 'b, K> {
    pub(super) socket: &'s StreamSocket<K>,
    pub(super) buffer: &'b mut [u8],
}

impl<K: StreamKind> Future for Read<'_, '_, K> {
    type Output = io::Result<usize>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.socket.poll_read(cx, self.buffer)
    }
}

/// A write of all of its bytes.
pub(crate) struct WriteAll<'s, 'b, K> {
    pub(super) socket: &'s StreamSocket<K>,
    pub(super) bytes: &'b [u8],
}

impl<K: StreamKind> Future for WriteAll<'_, '_, K> {
    type Output = io::Result<()>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.socket.poll_write(cx, self.bytes))? {
                count if count == self.bytes.len() => return Poll::Ready(Ok(())),
                0 => return Poll::Ready(Err(nothing_written())),
                count => self.bytes = &self.bytes[count..],
            }
        }
    }
}

#[cold]
fn nothing_written() -> io::Error {
    let what = "the stream takes no more bytes";
    io::Error::new(io::ErrorKind::WriteZero, what)
}
