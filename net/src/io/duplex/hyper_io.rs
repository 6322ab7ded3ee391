//! The traits of hyper, of streams in memory: how they read. They write as all
//! streams do, in `stream`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor};

use super::DuplexStream;

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
