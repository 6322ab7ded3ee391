//! [`sink`]: a writer that discards its bytes.
//!
//! It is always ready, so each operation spends a unit of the task's budget: a task that
//! uses it in an endless loop still lets other tasks run, and a time limit around it holds.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::task::coop;
use futures_io::AsyncWrite;

/// A writer that discards its bytes, from [`sink`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Sink(());

/// Creates a writer that discards its bytes.
///
/// # Examples
///
/// ```
/// use coreloop::io::{AsyncReadExt, copy, repeat, sink};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let copied = copy(&mut repeat(0).take(100), &mut sink()).await?;
/// assert_eq!(copied, 100);
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub const fn sink() -> Sink {
    Sink(())
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        coop::poll_proceed(cx).map(|()| Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = buffers.iter().map(|buffer| buffer.len()).sum();
        coop::poll_proceed(cx).map(|()| Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        coop::poll_proceed(cx).map(Ok)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        coop::poll_proceed(cx).map(Ok)
    }
}
