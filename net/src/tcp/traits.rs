//! The futures-io traits of the streams and the halves.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::transfer;
use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

/// `AsyncRead` of a type that lends its stream.
macro_rules! async_read {
    ($($type:ty),* $(,)?) => {$(
        impl AsyncRead for $type {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_read(self.get_mut().stream(), cx, buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_read_vectored(self.get_mut().stream(), cx, buffers)
            }
        }
    )*};
}

/// `AsyncWrite` of a type that lends its stream. Nothing is buffered, so there is
/// nothing to flush; to close is to shut down the writing direction.
macro_rules! async_write {
    ($($type:ty),* $(,)?) => {$(
        impl AsyncWrite for $type {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_write(self.get_mut().stream(), cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                transfer::poll_write_vectored(self.get_mut().stream(), cx, buffers)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(transfer::shutdown_write(self.get_mut().stream()))
            }
        }
    )*};
}

// A shared stream has one waker per direction, as the owned one has: of two tasks
// that read through references, the last to poll is the one that is woken.
async_read!(TcpStream, &TcpStream, ReadHalf<'_>, OwnedReadHalf);
async_write!(TcpStream, &TcpStream, WriteHalf<'_>, OwnedWriteHalf);
