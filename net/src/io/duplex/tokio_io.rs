//! The traits of tokio, of streams in memory: how they read. They write as all
//! streams do, in `stream`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::DuplexStream;

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
