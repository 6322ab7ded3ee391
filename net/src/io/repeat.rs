//! [`repeat`]: a reader of one byte, again and again.
//!
//! It is always ready, so each operation spends a unit of the task's budget: a task that
//! uses it in an endless loop still lets other tasks run, and a time limit around it holds.

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_io::AsyncRead;

/// A reader of one byte, again and again, from [`repeat`].
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    byte: u8,
}

/// Creates a reader of one byte, again and again, without end.
///
/// # Examples
///
/// ```
/// use coreloop::io::{AsyncReadExt, repeat};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut bytes = [0; 3];
/// repeat(b'x').read_exact(&mut bytes).await?;
/// assert_eq!(&bytes, b"xxx");
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub const fn repeat(byte: u8) -> Repeat {
    Repeat { byte }
}

impl AsyncRead for Repeat {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        buffer.fill(self.byte);
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let mut count = 0;
        for buffer in buffers {
            buffer.fill(self.byte);
            count += buffer.len();
        }
        Poll::Ready(Ok(count))
    }
}
