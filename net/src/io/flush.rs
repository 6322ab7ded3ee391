//! When a copy flushes its writer: whenever the reader has no more for now, at its end,
//! and before an error of the reader is returned, so that all that was read before has
//! left.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

/// What a copy has to flush, and to report after that.
#[derive(Default)]
pub(super) struct Flush {
    /// Something was written since the last flush.
    is_due: bool,
    failure: Option<io::Error>,
}

impl Flush {
    /// For a copy that may continue one that was dropped before it flushed.
    pub(super) fn due() -> Flush {
        Flush {
            is_due: true,
            failure: None,
        }
    }

    /// Something was written.
    pub(super) fn wrote(&mut self) {
        self.is_due = true;
    }

    /// The reader has failed.
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

    /// Flushes, and gives the error of the reader, if there is one: it came before an
    /// error of the flush.
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
