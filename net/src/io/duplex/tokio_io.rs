//! tokio's traits, for streams in memory.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::DuplexStream;
use crate::forward::forward_write;

impl AsyncRead for DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        self.reads
            .poll_read(cx, room, |bytes| buffer.put_slice(bytes))
            .map_ok(drop)
    }
}

forward_write! {
    AsyncWrite, poll_shutdown;
    [] DuplexStream => |this| *this, futures_io::AsyncWrite, poll_close;
    vectored |_| true
}
