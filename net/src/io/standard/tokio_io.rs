//! tokio's traits, for the standard streams. No runtime of tokio is needed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Stderr, Stdin, Stdout};
use crate::forward::forward_write;

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // This zeroes the memory once, because readers of tokio keep their buffers.
        let room = buffer.initialize_unfilled();
        let count = ready!(futures_io::AsyncRead::poll_read(self, cx, room))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

forward_write! {
    AsyncWrite, poll_shutdown;
    [] Stdout => |this| *this, futures_io::AsyncWrite, poll_close
}
forward_write! {
    AsyncWrite, poll_shutdown;
    [] Stderr => |this| *this, futures_io::AsyncWrite, poll_close
}
