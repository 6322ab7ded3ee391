//! When a copy flushes its writer: whenever the reader has no more bytes for now, at its end,
//! and before an error of the reader is returned, so that all bytes that were read before the
//! error are delivered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

/// Whether a copy has to flush, and the error to return after that.
#[derive(Default)]
pub(super) struct Flush {
    /// Whether bytes were written since the last flush.
    is_due: bool,
    failure: Option<io::Error>,
}

impl Flush {
    /// Creates the state of a copy that may continue one that was dropped before it flushed.
    pub(super) fn due() -> Self {
        Self {
            is_due: true,
            failure: None,
        }
    }

    /// Records that bytes were written.
    pub(super) fn wrote(&mut self) {
        self.is_due = true;
    }

    /// Records an error of the reader.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failure = Some(error);
    }

    pub(super) fn poll<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        if self.is_due {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.is_due = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes, and returns the error of the reader, if there is one. It takes precedence over
    /// an error of the flush, because it came first.
    pub(super) fn poll_failure<W>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        if self.failure.is_some() {
            let _ = ready!(self.poll(cx, writer));
        }
        Poll::Ready(self.failure.take().map_or(Ok(()), Err))
    }
}
