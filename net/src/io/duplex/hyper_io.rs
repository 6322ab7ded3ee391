//! hyper's traits, for streams in memory.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::DuplexStream;
use crate::forward::forward_write;

impl Read for DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        self.reads
            .poll_read(cx, room, |bytes| buffer.put_slice(bytes))
            .map_ok(drop)
    }
}

forward_write! {
    Write, poll_shutdown;
    [] DuplexStream => |this| *this, futures_io::AsyncWrite, poll_close;
    vectored |_| true
}
