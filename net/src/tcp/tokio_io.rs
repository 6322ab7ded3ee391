//! The traits of tokio, of the streams and the halves. No runtime of tokio is
//! needed: the traits are all that is used of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};
use super::{scratch, transfer};

/// `AsyncRead` of a type that lends its stream.
macro_rules! async_read {
    ($($type:ty),* $(,)?) => {$(
        impl AsyncRead for $type {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read(self.get_mut().stream(), cx, buffer)
            }
        }
    )*};
}

/// `AsyncWrite` of a type that has that of futures-io.
macro_rules! async_write {
    ($($type:ty),* $(,)?) => {$(
        impl AsyncWrite for $type {
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

async_read!(TcpStream, ReadHalf<'_>, OwnedReadHalf);
async_write!(TcpStream, WriteHalf<'_>, OwnedWriteHalf);

fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let is_initialized = buffer.initialized().len() == buffer.capacity();
    if is_initialized {
        let count = ready!(transfer::poll_read(
            stream,
            cx,
            buffer.initialize_unfilled()
        ))?;
        buffer.advance(count);
    } else {
        let room = buffer.remaining();
        ready!(scratch::poll_read(stream, cx, room, |bytes| {
            buffer.put_slice(bytes);
        }))?;
    }
    Poll::Ready(Ok(()))
}
