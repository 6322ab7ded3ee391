//! [`Pipe`], the frames of both directions on a stream. One task polls it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::secure::{Opener, Sealer};

/// How many bytes are collected for one write.
const BATCH: usize = 64 * 1024;

/// The frames of both directions on a stream.
pub(crate) struct Pipe<S> {
    stream: S,
    sealer: Sealer,
    opener: Opener,
    /// The frames that are written next.
    out: Vec<u8>,
    /// How many bytes of them were written.
    written: usize,
    /// Whether bytes were written since the last flush.
    is_dirty: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    pub(crate) fn new(stream: S, sealer: Sealer, opener: Opener) -> Self {
        Self {
            stream,
            sealer,
            opener,
            out: Vec::new(),
            written: 0,
            is_dirty: false,
        }
    }

    /// Returns the body of the next frame that has come as a whole.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.opener
            .next()
            .map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken.to_string()))
    }

    /// Reads bytes, after all complete frames were taken. Zero bytes are the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let space = self.opener.space();
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, space))?;
        self.opener.filled(count);
        Poll::Ready(Ok(count))
    }

    /// Appends a frame to those that are written next.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.sealer.seal(&mut self.out, write);
    }

    /// Returns whether enough frames were appended for one write.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() - self.written >= BATCH
    }

    /// Writes what was appended. Ready when all is written.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let bytes = &self.out[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.is_dirty = true;
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(4 * BATCH);
        if self.is_dirty {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the writing direction, after all was written.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
