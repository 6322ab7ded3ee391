//! The traits of tokio, of the streams and the halves. No runtime of tokio is
//! needed: the traits are all that is used of it.
//!
//! A `ReadBuf` may hold nothing yet. The kernel writes there in place, as it does
//! for hyper.
//!
//! # Invariants
//!
//! 1. What is done to the memory is one receiving call, which only ever writes to it; so
//!    nothing in it becomes uninitialized.
//! 2. The buffer is told of as many bytes as the slice has that rustix gives
//!    back as filled, which begins where the unfilled part does.
#![expect(
    unsafe_code,
    reason = "a `ReadBuf` that holds nothing cannot be filled in place by safe code; see the \
              invariants above"
)]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::AsyncWrite as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ByteStream, transfer};
use crate::{io::DuplexStream, sys, tcp, unix};

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

async_read!(
    tcp::TcpStream,
    tcp::ReadHalf<'_>,
    tcp::OwnedReadHalf,
    unix::UnixStream,
    unix::ReadHalf<'_>,
    unix::OwnedReadHalf,
);
async_write!(
    tcp::TcpStream,
    tcp::WriteHalf<'_>,
    tcp::OwnedWriteHalf,
    unix::UnixStream,
    unix::WriteHalf<'_>,
    unix::OwnedWriteHalf,
    DuplexStream,
);

#[inline]
fn poll_read<S: ByteStream>(
    stream: &S,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let length = sys::at_once(buffer.remaining());
    let read = transfer::poll_receive(stream, cx, length, |socket| {
        // SAFETY: invariant 1.
        let unfilled = unsafe { buffer.unfilled_mut() };
        let count = sys::receive_into(socket, &mut unfilled[..length])?.len();
        // SAFETY: invariant 2.
        unsafe { buffer.assume_init(count) };
        buffer.advance(count);
        Ok(count)
    });
    read.map_ok(drop)
}
