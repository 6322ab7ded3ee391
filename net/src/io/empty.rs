//! [`empty`]: a reader that is at its end.
//!
//! It is always ready, so each operation spends a unit of the task's budget: a task that
//! uses it in an endless loop still lets other tasks run, and a time limit around it holds.

use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::task::coop;
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};

/// A reader that is at its end, from [`empty`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Empty(());

/// Creates a reader that is at its end.
///
/// Bytes written to it are discarded.
///
/// # Examples
///
/// ```
/// use coreloop::io::{AsyncReadExt, empty};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut nothing = String::new();
/// empty().read_to_string(&mut nothing).await?;
/// assert_eq!(nothing, "");
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub const fn empty() -> Empty {
    Empty(())
}

impl AsyncRead for Empty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        coop::poll_proceed(cx).map(|()| Ok(0))
    }
}

impl AsyncBufRead for Empty {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        coop::poll_proceed(cx).map(|()| Ok(&[][..]))
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

impl AsyncSeek for Empty {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, _: SeekFrom) -> Poll<io::Result<u64>> {
        coop::poll_proceed(cx).map(|()| Ok(0))
    }
}

impl AsyncWrite for Empty {
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
