//! [`StreamSocket`]: the socket inside every stream.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Poll, ready};

use coreloop_runtime::io::Async;
use rustix::net::RecvFlags;
use socket2::SockRef;

use super::futures::{Read, WriteAll};
use super::poller::{SharedPoller, SinglePoller};
use crate::sys;

/// A kind of socket, with the properties that its transfers depend on.
pub(crate) trait StreamKind {
    /// Whether a read that returns fewer bytes than it might has drained the socket, so that
    /// the next read waits for an event without a system call.
    ///
    /// This is false for a Unix socket: a read also ends at a message that brought
    /// descriptors, whether or not the receiver wants them, and with the last byte of one
    /// sender if the next has other credentials. No further event reports the bytes that are
    /// left.
    const SHORT_READ_MEANS_DRAINED: bool;
}

/// A connected socket that carries bytes, of the kind `K`.
///
/// All methods take `&self`. The public types decide who may call them: a method that waits
/// and is not async belongs to the one owner of its direction, since only the task that
/// polled last is woken.
pub(crate) struct StreamSocket<K> {
    io: Async<OwnedFd>,
    kind: PhantomData<K>,
}

impl<K> StreamSocket<K> {
    /// Puts a socket on the loop that is non-blocking already.
    pub(crate) fn from_nonblocking(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            io: Async::from_owned(socket)?,
            kind: PhantomData,
        })
    }

    /// Like `from_nonblocking`, for an accepted connection, which is counted until it is
    /// dropped or leaves the loop.
    pub(crate) fn counted(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            io: Async::from_owned_counted(socket)?,
            kind: PhantomData,
        })
    }

    /// Takes the socket off the loop.
    pub(crate) fn into_inner(self) -> io::Result<OwnedFd> {
        self.io.into_inner()
    }

    /// Returns the descriptor on the loop.
    #[inline]
    pub(crate) fn io(&self) -> &Async<OwnedFd> {
        &self.io
    }
}

impl<K: StreamKind> StreamSocket<K> {
    /// Returns a view with the traits of a stream, for the one owner of a direction.
    #[inline]
    pub(crate) fn single_poller(&self) -> SinglePoller<'_, K> {
        SinglePoller(self)
    }

    /// Returns a view with the traits of a stream, for any number of tasks.
    #[inline]
    pub(crate) fn shared_poller(&self) -> SharedPoller<'_, K> {
        SharedPoller(self)
    }

    /// Reads some bytes.
    #[inline]
    pub(crate) fn read<'s, 'b>(&'s self, buffer: &'b mut [u8]) -> Read<'s, 'b, K> {
        Read {
            socket: self,
            buffer,
        }
    }

    /// Reads some bytes into several buffers in turn.
    #[inline]
    pub(crate) fn read_vectored(
        &self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        poll_fn(move |cx| self.poll_read_vectored(cx, buffers))
    }

    /// Reads until `buffer` is full. The counter of bytes read is lost with the future.
    #[inline]
    pub(crate) fn read_exact(
        &self,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        let mut filled = 0;
        poll_fn(move |cx| {
            while filled < buffer.len() {
                match ready!(self.poll_read(cx, &mut buffer[filled..]))? {
                    0 => return Poll::Ready(Err(unexpected_end())),
                    count => filled += count,
                }
            }
            Poll::Ready(Ok(filled))
        })
    }

    /// Reads some bytes that the next read returns again. Any number of tasks may wait.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return poll_fn(|cx| self.poll_read(cx, buffer)).await;
        }
        let peek = |socket: &OwnedFd| sys::receive(socket, &mut *buffer, RecvFlags::PEEK);
        self.io.read_with(peek).await
    }

    /// Reads the bytes that have arrived, without waiting.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = sys::limit_transfer(buffer.len());
        let receive =
            |socket: &OwnedFd| sys::receive(socket, &mut buffer[..length], RecvFlags::empty());
        if K::SHORT_READ_MEANS_DRAINED || length == 0 {
            self.io.try_read_stream(length, receive)
        } else {
            self.io.try_read_with(receive)
        }
    }

    /// Reads the bytes that have arrived into several buffers in turn, without waiting.
    pub(crate) fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = buffers.len().min(sys::MAX_BUFFERS);
        let buffers = &mut buffers[..count];
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return self.try_read(&mut []);
        }
        self.io
            .try_read_with(|socket| sys::receive_vectored(socket, buffers))
    }

    /// Writes some bytes.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        poll_fn(move |cx| self.poll_write(cx, bytes))
    }

    /// Writes some bytes from several buffers in turn.
    #[inline]
    pub(crate) fn write_vectored(
        &self,
        buffers: &[IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        poll_fn(move |cx| self.poll_write_vectored(cx, buffers))
    }

    /// Writes all of `bytes`.
    #[inline]
    pub(crate) fn write_all<'s, 'b>(&'s self, bytes: &'b [u8]) -> WriteAll<'s, 'b, K> {
        WriteAll {
            socket: self,
            bytes,
        }
    }

    /// Writes as many bytes as the system accepts without waiting.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return sys::send(&self.io, bytes);
        }
        let length = sys::limit_transfer(bytes.len());
        self.io
            .try_write_stream(length, |socket| sys::send(socket, &bytes[..length]))
    }

    /// Writes as many bytes from several buffers as the system accepts without waiting.
    pub(crate) fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let buffers = &buffers[..buffers.len().min(sys::MAX_BUFFERS)];
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return self.try_write(&[]);
        }
        self.io
            .try_write_with(|socket| sys::send_vectored(socket, buffers))
    }

    /// Shuts down the writing direction at the first poll.
    #[inline]
    pub(crate) fn shutdown(&self) -> impl Future<Output = io::Result<()>> + Unpin {
        poll_fn(move |_| Poll::Ready(self.shutdown_write()))
    }

    /// Shuts down the writing direction. Never waits.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match SockRef::from(&self.io).shutdown(Shutdown::Write) {
            // The peer has reset the connection, so it expects no more bytes anyway.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

impl<K> AsFd for StreamSocket<K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl<K> fmt::Debug for StreamSocket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}

#[cold]
fn unexpected_end() -> io::Error {
    let what = "the stream ended before the buffer was full";
    io::Error::new(io::ErrorKind::UnexpectedEof, what)
}
