//! [`empty`], [`repeat`] and [`sink`]: readers and writers with nothing behind them.
//!
//! They are always ready, so each operation spends a unit of the budget: a task that reads
//! from one without end gives way to others, and a time limit around it holds.

use std::io::{self, IoSlice, IoSliceMut, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};

/// The reader that [`empty`] returns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Empty(());

/// A reader that is at its end. What is written to it is thrown away.
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

/// The reader that [`repeat`] returns.
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    byte: u8,
}

/// A reader of one byte again and again, without end.
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

/// The writer that [`sink`] returns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sink(());

/// A writer that throws everything away.
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

/// A writer that takes all that it is given.
macro_rules! write_nowhere {
    ($writer:ty) => {
        impl AsyncWrite for $writer {
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
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let count = slices.iter().map(|slice| slice.len()).sum();
                coop::poll_proceed(cx).map(|()| Ok(count))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                coop::poll_proceed(cx).map(Ok)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                coop::poll_proceed(cx).map(Ok)
            }
        }
    };
}

write_nowhere!(Empty);
write_nowhere!(Sink);
