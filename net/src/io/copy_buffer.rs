//! [`CopyBuffer`]: one direction of copying, which outlives the futures that copy.
//!
//! # Invariants
//!
//! 1. The bytes that were read and not yet written are `buffer[start..end]`, and nothing is
//!    read before that range is empty. So `read == written + (end - start)`.
//! 2. The counts change in the same poll as the stream that they count, so they are correct
//!    whenever a future is dropped.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_io::{AsyncRead, AsyncWrite};

use super::flush::Flush;

/// The size of a buffer at first, and the size that it grows to when reads fill it. Most
/// connections of a proxy are idle, and a few carry most of the bytes.
const INITIAL_SIZE: usize = 8 << 10;
const MAX_SIZE: usize = 64 << 10;

/// The state of one direction of copying: the bytes in transit, and the counts.
///
/// [`copy`](super::copy) has one of these, and loses it when its future is dropped. Keep one
/// to copy with a time limit, to show progress while the copy runs, or to continue after an
/// error: it counts the bytes that were read and written, and holds those that were read and
/// not yet written. [`copy`](Self::copy) continues with them.
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
    /// The size at the next read, and the maximum size.
    size: usize,
    max_size: usize,
    start: usize,
    end: usize,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) at_end: bool,
    flush: Flush,
    /// Whether the writer was closed, by a copy in both directions.
    closed: bool,
}

impl CopyBuffer {
    /// Creates a buffer that starts small, and grows if there are many bytes to copy.
    ///
    /// It allocates no memory before the first read.
    #[must_use]
    pub fn new() -> Self {
        Self::sized(INITIAL_SIZE, MAX_SIZE)
    }

    /// Creates a buffer of `size` bytes, from its first read to the end.
    ///
    /// # Panics
    ///
    /// Panics if `size` is 0.
    #[must_use]
    #[track_caller]
    pub fn with_size(size: usize) -> Self {
        assert!(size > 0, "nothing can be copied through an empty buffer");
        Self::sized(size, size)
    }

    fn sized(size: usize, max_size: usize) -> Self {
        Self {
            buffer: Box::default(),
            size,
            max_size,
            start: 0,
            end: 0,
            read: 0,
            written: 0,
            at_end: false,
            flush: Flush::default(),
            closed: false,
        }
    }

    /// Copies until `reader` ends, and returns how many bytes were written by this call and
    /// all calls before it.
    ///
    /// The writer is flushed whenever `reader` has no more bytes for now, and at the end. It
    /// is not closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the bytes in transit stay in the buffer, and another call continues with
    /// them.
    ///
    /// # Errors
    ///
    /// Returns an error of either stream, or [`WriteZero`](io::ErrorKind::WriteZero) if the
    /// writer accepts no more bytes. All bytes that were read before an error of the reader
    /// have been written and flushed when it is returned; an error of that flush is discarded.
    /// After either error, another call continues where this one stopped.
    pub async fn copy<R, W>(&mut self, reader: &mut R, writer: &mut W) -> io::Result<u64>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        poll_fn(|cx| self.poll_copy(cx, reader, writer)).await
    }

    /// Polls like [`copy`](Self::copy).
    ///
    /// # Errors
    ///
    /// Returns an error like [`copy`](Self::copy).
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
            // Sockets spend the budget themselves, but streams in memory may not.
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
                    // Both wake the task, and the next poll reads first.
                    ready!(self.flush.poll(cx, writer))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Returns how many bytes were read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Returns how many bytes were written.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Returns the bytes that were read and are not written yet.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Returns whether the reader has ended.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Adds `bytes`, which are counted as read already, as the bytes in transit.
    pub(super) fn take_over(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.start == self.end, "bytes in transit would be lost");
        self.start = 0;
        self.end = bytes.len();
        self.buffer = bytes.into_boxed_slice();
    }

    /// Closes the writer. Does nothing after that.
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
            self.size = (self.size * 2).min(self.max_size);
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
    fn default() -> Self {
        Self::new()
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
