//! The traits of hyper, of the streams and the halves.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncWrite as _;
use hyper::rt::{Read, ReadBufCursor, Write};

use super::scratch;
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

/// `Read` of a type that lends its stream.
macro_rules! hyper_read {
    ($($type:ty),* $(,)?) => {$(
        impl Read for $type {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                mut buffer: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                let room = buffer.remaining();
                scratch::poll_read(self.get_mut().stream(), cx, room, |bytes| {
                    buffer.put_slice(bytes);
                })
                .map_ok(drop)
            }
        }
    )*};
}

/// `Write` of a type that has the trait of futures-io.
macro_rules! hyper_write {
    ($($type:ty),* $(,)?) => {$(
        impl Write for $type {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, buffers)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_close(cx)
            }
        }
    )*};
}

hyper_read!(TcpStream, ReadHalf<'_>, OwnedReadHalf);
hyper_write!(TcpStream, WriteHalf<'_>, OwnedWriteHalf);
