//! The traits of futures-io, for streams in memory.
//!
//! References to a stream read and write too, and the stream forwards to a reference to
//! itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::DuplexStream;
use crate::forward::{forward_read, forward_write};

impl AsyncRead for &DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = 0;
        self.reads.poll_read(cx, buffer.len(), |bytes| {
            buffer[read..][..bytes.len()].copy_from_slice(bytes);
            read += bytes.len();
        })
    }
}

impl AsyncWrite for &DuplexStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.poll_write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.poll_write(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writes.close();
        Poll::Ready(Ok(()))
    }
}

forward_read! {
    AsyncRead, &mut [u8] => usize;
    [] DuplexStream => |this| &*this
}
forward_write! {
    AsyncWrite, poll_close;
    [] DuplexStream => |this| &*this, AsyncWrite, poll_close
}
