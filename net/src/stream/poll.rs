//! The polls under every read and write.
#![expect(
    clippy::inline_always,
    reason = "see the futures of this folder, which are polled through these methods"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;

use super::{StreamKind, StreamSocket};
use crate::sys;

/// For the one owner of a direction: only the task that polled last is woken.
impl<K: StreamKind> StreamSocket<K> {
    #[inline(always)]
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = sys::limit_transfer(buffer.len());
        self.poll_receive(cx, length, |socket| {
            sys::receive(socket, &mut buffer[..length], RecvFlags::empty())
        })
    }

    /// Reads up to `length` bytes by `receive`, which returns how many it read.
    #[inline(always)]
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        length: usize,
        receive: impl FnMut(&OwnedFd) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // A read into an empty buffer never waits, whatever the kind of socket.
        if K::SHORT_READ_MEANS_DRAINED || length == 0 {
            self.io().poll_read_stream(cx, length, receive)
        } else {
            self.io().poll_read_with(cx, receive)
        }
    }

    pub(super) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = buffers.len().min(sys::MAX_BUFFERS);
        let buffers = &mut buffers[..count];
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        self.poll_receive(cx, length, |socket| sys::receive_vectored(socket, buffers))
    }

    pub(crate) fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return self.poll_read(cx, buffer);
        }
        let peek = |socket: &OwnedFd| sys::receive(socket, &mut *buffer, RecvFlags::PEEK);
        self.io().poll_read_with(cx, peek)
    }

    #[inline(always)]
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return self.poll_write_nothing(cx);
        }
        let length = sys::limit_transfer(bytes.len());
        self.io()
            .poll_write_stream(cx, length, |socket| sys::send(socket, &bytes[..length]))
    }

    /// Writes no bytes. This does not wait until the socket has room, and returns an error if
    /// the connection is broken.
    #[cold]
    fn poll_write_nothing(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.io().poll_write_stream(cx, 0, |_| Ok(0)))?;
        Poll::Ready(sys::send(self.io(), &[]))
    }

    pub(super) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let buffers = &buffers[..buffers.len().min(sys::MAX_BUFFERS)];
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        if length == 0 {
            return self.poll_write_nothing(cx);
        }
        self.io()
            .poll_write_stream(cx, length, |socket| sys::send_vectored(socket, buffers))
    }
}

/// For any number of tasks: each task that polled is woken.
impl<K: StreamKind> StreamSocket<K> {
    pub(super) fn poll_read_shared(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return self.poll_read(cx, buffer);
        }
        let length = sys::limit_transfer(buffer.len());
        self.io().poll_read_shared(cx, |socket| {
            sys::receive(socket, &mut buffer[..length], RecvFlags::empty())
        })
    }

    pub(super) fn poll_read_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = buffers.len().min(sys::MAX_BUFFERS);
        if buffers[..count].iter().all(|buffer| buffer.is_empty()) {
            return self.poll_read(cx, &mut []);
        }
        self.io().poll_read_shared(cx, |socket| {
            sys::receive_vectored(socket, &mut buffers[..count])
        })
    }

    pub(super) fn poll_write_shared(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return self.poll_write(cx, bytes);
        }
        let length = sys::limit_transfer(bytes.len());
        self.io()
            .poll_write_shared(cx, |socket| sys::send(socket, &bytes[..length]))
    }

    pub(super) fn poll_write_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let buffers = &buffers[..buffers.len().min(sys::MAX_BUFFERS)];
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return self.poll_write(cx, &[]);
        }
        self.io()
            .poll_write_shared(cx, |socket| sys::send_vectored(socket, buffers))
    }
}
