//! Moving bytes: the futures and polls under every read and write.
//!
//! The streams and all four halves lend their `TcpStream` to these functions, so
//! that each transfer is written once. The futures hold the stream, the buffer
//! and at most one counter: a task that waits for input is mostly these bytes.
//!
//! An echo is two polls of a [`Read`] and one of a [`WriteAll`]. Those have
//! names, and not closures, so that they can insist on being inlined.
#![expect(
    clippy::inline_always,
    reason = "left to itself the compiler inlines a read in one program and not in the next, \
              which costs 16 instructions of some 60"
)]

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use socket2::SockRef;

use super::{TcpStream, sys};

#[inline(always)]
pub(super) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let length = sys::at_once(buffer.len());
    stream.io.poll_read_stream(cx, length, |socket| {
        sys::receive(socket, &mut buffer[..length], RecvFlags::empty())
    })
}

#[inline(always)]
pub(super) fn poll_write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let length = sys::at_once(bytes.len());
    stream
        .io
        .poll_write_stream(cx, length, |socket| sys::send(socket, &bytes[..length]))
}

pub(super) fn poll_read_vectored(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffers: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    let count = buffers.len().min(sys::MOST_BUFFERS);
    let buffers = &mut buffers[..count];
    let length = buffers.iter().map(|buffer| buffer.len()).sum();
    stream
        .io
        .poll_read_stream(cx, length, |socket| sys::receive_vectored(socket, buffers))
}

pub(super) fn poll_write_vectored(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffers: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let buffers = &buffers[..buffers.len().min(sys::MOST_BUFFERS)];
    let length = buffers.iter().map(|buffer| buffer.len()).sum();
    stream
        .io
        .poll_write_stream(cx, length, |socket| sys::send_vectored(socket, buffers))
}

/// Says that no more will be written. Never waits.
pub(super) fn shutdown_write(stream: &TcpStream) -> io::Result<()> {
    match SockRef::from(stream).shutdown(Shutdown::Write) {
        // The peer has reset the connection: there is nothing left to say.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

#[inline]
pub(super) fn read<'s, 'b>(stream: &'s TcpStream, buffer: &'b mut [u8]) -> Read<'s, 'b> {
    Read { stream, buffer }
}

/// One read.
pub(super) struct Read<'s, 'b> {
    stream: &'s TcpStream,
    buffer: &'b mut [u8],
}

impl Future for Read<'_, '_> {
    type Output = io::Result<usize>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_read(self.stream, cx, self.buffer)
    }
}

#[inline]
pub(super) fn read_exact(
    stream: &TcpStream,
    buffer: &mut [u8],
) -> impl Future<Output = io::Result<usize>> + Unpin {
    let mut filled = 0;
    poll_fn(move |cx| {
        while filled < buffer.len() {
            match ready!(poll_read(stream, cx, &mut buffer[filled..]))? {
                0 => return Poll::Ready(Err(early_end())),
                count => filled += count,
            }
        }
        Poll::Ready(Ok(filled))
    })
}

#[inline]
pub(super) fn write(
    stream: &TcpStream,
    bytes: &[u8],
) -> impl Future<Output = io::Result<usize>> + Unpin {
    poll_fn(move |cx| poll_write(stream, cx, bytes))
}

#[inline]
pub(super) fn write_all<'s, 'b>(stream: &'s TcpStream, bytes: &'b [u8]) -> WriteAll<'s, 'b> {
    WriteAll { stream, bytes }
}

/// Writes until nothing is left.
pub(super) struct WriteAll<'s, 'b> {
    stream: &'s TcpStream,
    bytes: &'b [u8],
}

impl Future for WriteAll<'_, '_> {
    type Output = io::Result<()>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match ready!(poll_write(self.stream, cx, self.bytes))? {
                count if count == self.bytes.len() => return Poll::Ready(Ok(())),
                0 => return Poll::Ready(Err(nothing_written())),
                count => self.bytes = &self.bytes[count..],
            }
        }
    }
}

#[inline]
pub(super) fn shutdown(stream: &TcpStream) -> impl Future<Output = io::Result<()>> + Unpin {
    poll_fn(move |_| Poll::Ready(shutdown_write(stream)))
}

pub(super) fn try_read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let length = sys::at_once(buffer.len());
    stream.io.try_read_stream(length, |socket| {
        sys::receive(socket, &mut buffer[..length], RecvFlags::empty())
    })
}

pub(super) fn try_write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let length = sys::at_once(bytes.len());
    stream
        .io
        .try_write_stream(length, |socket| sys::send(socket, &bytes[..length]))
}

#[cold]
fn early_end() -> io::Error {
    let what = "the stream ended before the buffer was full";
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}

#[cold]
fn nothing_written() -> io::Error {
    let what = "the stream takes no more bytes";
    io::Error::new(io::ErrorKind::WriteZero, what)
}
