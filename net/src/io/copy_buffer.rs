//! One direction of copying, as a value that outlives the futures that copy.
//!
//! 1. What was read and not yet written is `buffer[start..end]`, and nothing is
//!    read before that is empty. So `read == written + (end - start)`.
//! 2. The counts are changed in the same poll as the stream that they count, so
//!    they are right whenever a future is dropped.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_io::{AsyncRead, AsyncWrite};

use super::flush::Flush;

/// What a buffer starts with, and what one that is read full grows to. Most
/// connections of a proxy are idle, and a few carry the bulk.
const LEAST: usize = 8 << 10;
const MOST: usize = 64 << 10;

/// One direction of copying: the bytes on the way, and how many there were.
///
/// [`copy`](super::copy) keeps one of these to itself, and loses it when its
/// future is dropped. Keep your own to copy with a time limit, to show progress
/// while the copy runs, or to go on after an error: it says how much was read
/// and written, has the bytes that were read and not yet written, and
/// [`copy`](Self::copy) goes on from there.
///
/// # Examples
///
/// ```
/// use coreloop::io::{AsyncWriteExt, CopyBuffer, Cursor, duplex};
/// use coreloop::time::timeout;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut from = Cursor::new(b"more than there is room for");
/// let (mut to, reader) = duplex(9);
///
/// let mut buffer = CopyBuffer::new();
/// let copy = buffer.copy(&mut from, &mut to);
/// assert!(timeout(Duration::from_millis(1), copy).await.is_err());
///
/// assert_eq!(buffer.bytes_written(), 9);
/// assert_eq!(buffer.unwritten(), b" there is room for");
/// # drop(reader);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct CopyBuffer {
    /// Empty before the first read.
    buffer: Box<[u8]>,
    /// How large it is to be at the next read, and at most.
    size: usize,
    most: usize,
    start: usize,
    end: usize,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) at_end: bool,
    flush: Flush,
    /// The writer was closed, by a copy in both directions.
    closed: bool,
}

impl CopyBuffer {
    /// A buffer that starts small, and grows if there is much to copy.
    ///
    /// It takes no memory before the first read.
    #[must_use]
    pub fn new() -> CopyBuffer {
        CopyBuffer::sized(LEAST, MOST)
    }

    /// A buffer of `size` bytes, from its first read to the end.
    ///
    /// # Panics
    ///
    /// If `size` is 0.
    #[must_use]
    #[track_caller]
    pub fn with_size(size: usize) -> CopyBuffer {
        assert!(size > 0, "nothing can be copied through an empty buffer");
        CopyBuffer::sized(size, size)
    }

    fn sized(size: usize, most: usize) -> CopyBuffer {
        CopyBuffer {
            buffer: Box::default(),
            size,
            most,
            start: 0,
            end: 0,
            read: 0,
            written: 0,
            at_end: false,
            flush: Flush::default(),
            closed: false,
        }
    }

    /// Copies until `reader` ends, and says how many bytes were written in all,
    /// by this call and those before it.
    ///
    /// What was read is flushed whenever `reader` has no more for now, and at
    /// the end. The writer is not closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the bytes on the way stay here, and another call goes on
    /// with them.
    ///
    /// # Errors
    ///
    /// Those of both streams, and [`WriteZero`](io::ErrorKind::WriteZero) if the
    /// writer takes no more bytes. All that was read before an error of the
    /// reader has been written and flushed before that error is returned; an error
    /// of that flush is not. After either, another call continues where this one
    /// stopped.
    pub async fn copy<R, W>(&mut self, reader: &mut R, writer: &mut W) -> io::Result<u64>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        poll_fn(|cx| self.poll_copy(cx, reader, writer)).await
    }

    /// Polls as [`copy`](Self::copy) awaits.
    ///
    /// # Errors
    ///
    /// Those of [`copy`](Self::copy).
    pub fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            // Sockets count for themselves, but streams in memory may not.
            ready!(coop::poll_proceed(cx));
            if self.start < self.end {
                ready!(self.poll_write(cx, writer))?;
                continue;
            }
            ready!(self.flush.poll_failure(cx, writer))?;
            if self.at_end {
                ready!(self.flush.poll(cx, writer))?;
                return Poll::Ready(Ok(self.written));
            }
            match self.poll_read(cx, reader) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.flush.fail(error),
                Poll::Pending => {
                    // Both wake the task, and it asks the reader first.
                    ready!(self.flush.poll(cx, writer))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// How many bytes were read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// How many bytes were written.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// The bytes that were read and are not written yet.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the reader has come to its end.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Puts `bytes`, which are counted as read already, on the way.
    pub(super) fn take_over(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.start == self.end, "bytes on the way would be lost");
        self.start = 0;
        self.end = bytes.len();
        self.buffer = bytes.into_boxed_slice();
    }

    /// Closes the writer, once and for all.
    pub(super) fn poll_close<W>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        if !self.closed {
            ready!(Pin::new(writer).poll_close(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn poll_read<R>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        if self.buffer.len() != self.size {
            self.buffer = vec![0; self.size].into_boxed_slice();
        }
        let count = ready!(Pin::new(reader).poll_read(cx, &mut self.buffer))?;
        self.start = 0;
        self.end = count;
        self.read += count as u64;
        self.at_end = count == 0;
        if count == self.buffer.len() {
            self.size = (self.size * 2).min(self.most);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        let bytes = &self.buffer[self.start..self.end];
        let count = ready!(Pin::new(writer).poll_write(cx, bytes))?;
        if count == 0 {
            return Poll::Ready(Err(nothing_written()));
        }
        self.start += count;
        self.written += count as u64;
        self.flush.wrote();
        Poll::Ready(Ok(()))
    }
}

impl Default for CopyBuffer {
    fn default() -> CopyBuffer {
        CopyBuffer::new()
    }
}

impl fmt::Debug for CopyBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBuffer")
            .field("bytes_read", &self.read)
            .field("bytes_written", &self.written)
            .field("is_at_end", &self.at_end)
            .finish_non_exhaustive()
    }
}

#[cold]
pub(super) fn nothing_written() -> io::Error {
    let what = "the stream takes no more bytes";
    io::Error::new(io::ErrorKind::WriteZero, what)
}
