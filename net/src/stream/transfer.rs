//! Moving bytes: the futures and polls under every read and write.
//!
//! The streams and their halves lend a [`ByteStream`] to these functions, so that
//! each transfer is written once. The futures hold the stream, the buffer and at
//! most one counter: a task that waits for input is mostly these bytes.
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
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use socket2::SockRef;

use super::ByteStream;
use crate::sys;

#[inline(always)]
pub(crate) fn poll_read<S: ByteStream>(
    stream: &S,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let length = sys::at_once(buffer.len());
    poll_receive(stream, cx, length, |socket| {
        sys::receive(socket, &mut buffer[..length], RecvFlags::empty())
    })
}

/// Reads up to `length` bytes by `receive`, which says how many came.
#[inline(always)]
pub(super) fn poll_receive<S: ByteStream>(
    stream: &S,
    cx: &mut Context<'_>,
    length: usize,
    receive: impl FnMut(&OwnedFd) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    // A read into no room does not wait, whatever the stream.
    if S::SHORT_READS_EMPTY || length == 0 {
        stream.io().poll_read_stream(cx, length, receive)
    } else {
        stream.io().poll_read_with(cx, receive)
    }
}

#[inline(always)]
pub(crate) fn poll_write(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    if bytes.is_empty() {
        return poll_write_nothing(stream, cx);
    }
    let length = sys::at_once(bytes.len());
    stream
        .io()
        .poll_write_stream(cx, length, |socket| sys::send(socket, &bytes[..length]))
}

/// Writes no bytes, which does not wait until the socket takes some, and says whether the
/// connection is broken.
#[cold]
fn poll_write_nothing(stream: &impl ByteStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    ready!(stream.io().poll_write_stream(cx, 0, |_| Ok(0)))?;
    Poll::Ready(sys::send(stream.io(), &[]))
}

pub(crate) fn poll_read_vectored<S: ByteStream>(
    stream: &S,
    cx: &mut Context<'_>,
    buffers: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    let count = buffers.len().min(sys::MOST_BUFFERS);
    let buffers = &mut buffers[..count];
    let length = buffers.iter().map(|buffer| buffer.len()).sum();
    poll_receive(stream, cx, length, |socket| {
        sys::receive_vectored(socket, buffers)
    })
}

pub(crate) fn poll_write_vectored(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    buffers: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let buffers = &buffers[..buffers.len().min(sys::MOST_BUFFERS)];
    let length = buffers.iter().map(|buffer| buffer.len()).sum();
    if length == 0 {
        return poll_write_nothing(stream, cx);
    }
    stream
        .io()
        .poll_write_stream(cx, length, |socket| sys::send_vectored(socket, buffers))
}

/// As [`poll_read`], by one of many who share the stream.
pub(crate) fn poll_read_shared(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    if buffer.is_empty() {
        return poll_read(stream, cx, buffer);
    }
    let length = sys::at_once(buffer.len());
    stream.io().poll_read_shared(cx, |socket| {
        sys::receive(socket, &mut buffer[..length], RecvFlags::empty())
    })
}

/// As [`poll_write`], by one of many who share the stream.
pub(crate) fn poll_write_shared(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    if bytes.is_empty() {
        return poll_write(stream, cx, bytes);
    }
    let length = sys::at_once(bytes.len());
    stream
        .io()
        .poll_write_shared(cx, |socket| sys::send(socket, &bytes[..length]))
}

/// As [`poll_read_vectored`], by one of many who share the stream.
pub(crate) fn poll_read_vectored_shared(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    buffers: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    let count = buffers.len().min(sys::MOST_BUFFERS);
    if buffers[..count].iter().all(|buffer| buffer.is_empty()) {
        return poll_read(stream, cx, &mut []);
    }
    stream.io().poll_read_shared(cx, |socket| {
        sys::receive_vectored(socket, &mut buffers[..count])
    })
}

/// As [`poll_write_vectored`], by one of many who share the stream.
pub(crate) fn poll_write_vectored_shared(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    buffers: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let buffers = &buffers[..buffers.len().min(sys::MOST_BUFFERS)];
    if buffers.iter().all(|buffer| buffer.is_empty()) {
        return poll_write(stream, cx, &[]);
    }
    stream
        .io()
        .poll_write_shared(cx, |socket| sys::send_vectored(socket, buffers))
}

/// Reads without taking what was read, by any number of tasks.
pub(crate) async fn peek(stream: &impl ByteStream, buffer: &mut [u8]) -> io::Result<usize> {
    if buffer.is_empty() {
        return poll_fn(|cx| poll_read(stream, cx, buffer)).await;
    }
    let peek = |socket: &OwnedFd| sys::receive(socket, &mut *buffer, RecvFlags::PEEK);
    stream.io().read_with(peek).await
}

/// As [`peek`], for the last task that polls.
pub(crate) fn poll_peek(
    stream: &impl ByteStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    if buffer.is_empty() {
        return poll_read(stream, cx, buffer);
    }
    let peek = |socket: &OwnedFd| sys::receive(socket, &mut *buffer, RecvFlags::PEEK);
    stream.io().poll_read_with(cx, peek)
}

/// Says that no more will be written. Never waits.
pub(crate) fn shutdown_write(stream: &impl ByteStream) -> io::Result<()> {
    match SockRef::from(stream.io()).shutdown(Shutdown::Write) {
        // The peer has reset the connection: there is nothing left to say.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        result => result,
    }
}

#[inline]
pub(crate) fn read<'s, 'b, S: ByteStream>(stream: &'s S, buffer: &'b mut [u8]) -> Read<'s, 'b, S> {
    Read { stream, buffer }
}

/// One read.
pub(crate) struct Read<'s, 'b, S> {
    stream: &'s S,
    buffer: &'b mut [u8],
}

impl<S: ByteStream> Future for Read<'_, '_, S> {
    type Output = io::Result<usize>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_read(self.stream, cx, self.buffer)
    }
}

#[inline]
pub(crate) fn read_exact(
    stream: &impl ByteStream,
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
pub(crate) fn write(
    stream: &impl ByteStream,
    bytes: &[u8],
) -> impl Future<Output = io::Result<usize>> + Unpin {
    poll_fn(move |cx| poll_write(stream, cx, bytes))
}

#[inline]
pub(crate) fn write_all<'s, 'b, S: ByteStream>(
    stream: &'s S,
    bytes: &'b [u8],
) -> WriteAll<'s, 'b, S> {
    WriteAll { stream, bytes }
}

/// Writes until nothing is left.
pub(crate) struct WriteAll<'s, 'b, S> {
    stream: &'s S,
    bytes: &'b [u8],
}

impl<S: ByteStream> Future for WriteAll<'_, '_, S> {
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
pub(crate) fn read_vectored(
    stream: &impl ByteStream,
    buffers: &mut [IoSliceMut<'_>],
) -> impl Future<Output = io::Result<usize>> + Unpin {
    poll_fn(move |cx| poll_read_vectored(stream, cx, buffers))
}

#[inline]
pub(crate) fn write_vectored(
    stream: &impl ByteStream,
    buffers: &[IoSlice<'_>],
) -> impl Future<Output = io::Result<usize>> + Unpin {
    poll_fn(move |cx| poll_write_vectored(stream, cx, buffers))
}

#[inline]
pub(crate) fn shutdown(stream: &impl ByteStream) -> impl Future<Output = io::Result<()>> + Unpin {
    poll_fn(move |_| Poll::Ready(shutdown_write(stream)))
}

pub(crate) fn try_read<S: ByteStream>(stream: &S, buffer: &mut [u8]) -> io::Result<usize> {
    let length = sys::at_once(buffer.len());
    let receive =
        |socket: &OwnedFd| sys::receive(socket, &mut buffer[..length], RecvFlags::empty());
    if S::SHORT_READS_EMPTY || length == 0 {
        stream.io().try_read_stream(length, receive)
    } else {
        stream.io().try_read_with(receive)
    }
}

pub(crate) fn try_write(stream: &impl ByteStream, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return sys::send(stream.io(), bytes);
    }
    let length = sys::at_once(bytes.len());
    stream
        .io()
        .try_write_stream(length, |socket| sys::send(socket, &bytes[..length]))
}

pub(crate) fn try_read_vectored(
    stream: &impl ByteStream,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    let count = buffers.len().min(sys::MOST_BUFFERS);
    let buffers = &mut buffers[..count];
    if buffers.iter().all(|buffer| buffer.is_empty()) {
        return try_read(stream, &mut []);
    }
    stream
        .io()
        .try_read_with(|socket| sys::receive_vectored(socket, buffers))
}

pub(crate) fn try_write_vectored(
    stream: &impl ByteStream,
    buffers: &[IoSlice<'_>],
) -> io::Result<usize> {
    let buffers = &buffers[..buffers.len().min(sys::MOST_BUFFERS)];
    if buffers.iter().all(|buffer| buffer.is_empty()) {
        return try_write(stream, &[]);
    }
    stream
        .io()
        .try_write_with(|socket| sys::send_vectored(socket, buffers))
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
