//! Copying one stream into another.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use super::CopyBuffer;
use super::copy_buffer::nothing_written;
use super::flush::Flush;

/// Copies all of `reader` into `writer`, and returns how many bytes were copied.
///
/// The writer is flushed whenever `reader` has no more bytes for now, and at the end. It is
/// not closed. The buffer grows with the amount to copy; to choose its size, use
/// [`CopyBuffer::with_size`].
///
/// Between two sockets, [`splice`](super::splice()) avoids the copy to memory.
///
/// # Cancel safety
///
/// Not cancel safe: bytes that were read and not yet written are lost, and so is their number.
/// [`CopyBuffer::copy`] keeps both.
///
/// # Errors
///
/// Returns an error of either stream, or [`WriteZero`](io::ErrorKind::WriteZero) if the writer
/// accepts no more bytes. Bytes that were read before an error of the reader have been written
/// and flushed when it is returned.
///
/// # Examples
///
/// ```
/// use coreloop::io::{self, Cursor};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut reader = Cursor::new(b"hello");
/// let mut writer = Vec::new();
/// assert_eq!(io::copy(&mut reader, &mut writer).await?, 5);
/// assert_eq!(writer, b"hello");
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    CopyBuffer::new().copy(reader, writer).await
}

/// Copies all of `reader` into `writer` from the buffer of the reader, and returns how many
/// bytes were copied.
///
/// The writer is flushed whenever `reader` has no more bytes for now, and at the end. It is
/// not closed.
///
/// # Cancel safety
///
/// Cancel safe: bytes that were written have left the buffer of the reader, and the others are
/// still in it, so another call continues there. Only the number of bytes that were written is
/// lost, and an error of the reader that has to wait for a flush.
///
/// # Errors
///
/// Returns an error of either stream, or [`WriteZero`](io::ErrorKind::WriteZero) if the writer
/// accepts no more bytes. Bytes that were read before an error of the reader have been written
/// and flushed when it is returned.
///
/// # Examples
///
/// ```
/// use coreloop::io::{self, BufReader};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut reader = BufReader::new(&b"hello"[..]);
/// let mut writer = Vec::new();
/// assert_eq!(io::copy_buf(&mut reader, &mut writer).await?, 5);
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn copy_buf<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncBufRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let mut progress = Progress {
        written: 0,
        flush: Flush::due(),
    };
    poll_fn(|cx| progress.poll(cx, reader, writer)).await
}

struct Progress {
    written: u64,
    flush: Flush,
}

impl Progress {
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncBufRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            ready!(coop::poll_proceed(cx));
            ready!(self.flush.poll_failure(cx, writer))?;
            let bytes = match Pin::new(&mut *reader).poll_fill_buf(cx) {
                Poll::Ready(Ok(bytes)) => bytes,
                Poll::Ready(Err(error)) => {
                    self.flush.fail(error);
                    continue;
                }
                Poll::Pending => {
                    ready!(self.flush.poll(cx, writer))?;
                    return Poll::Pending;
                }
            };
            if bytes.is_empty() {
                ready!(self.flush.poll(cx, writer))?;
                return Poll::Ready(Ok(self.written));
            }
            let count = ready!(Pin::new(&mut *writer).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(nothing_written()));
            }
            Pin::new(&mut *reader).consume(count);
            self.written += count as u64;
            self.flush.wrote();
        }
    }
}
