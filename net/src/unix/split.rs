//! Halves that borrow the stream, for two futures of one task.

use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

use coreloop_runtime::io::{Interest, Ready};

use super::{SocketAddr, Unix, UnixStream};
use crate::stream::StreamSocket;

/// The half of a borrowed [`UnixStream`] that reads, from [`UnixStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a UnixStream);

impl ReadHalf<'_> {
    /// Reads some bytes into `buffer`, and returns how many.
    ///
    /// `Ok(0)` means that the peer sends no more bytes, or that `buffer` is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were read if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::read`].
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket().read(buffer)
    }

    /// Reads some bytes into several buffers in turn, and returns how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were read if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::read`].
    #[inline]
    pub fn read_vectored(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket().read_vectored(buffers)
    }

    /// Reads until `buffer` is full, and returns its length.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the bytes read so far are in `buffer`, but their number is lost.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::read_exact`].
    #[inline]
    pub fn read_exact(
        &mut self,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket().read_exact(buffer)
    }

    /// Reads some bytes without removing them: the next read returns them again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are removed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::read`].
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket().peek(buffer).await
    }

    /// Polls for bytes to [`peek`](Self::peek) at. Only the task that polled this method or a
    /// read last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::read`].
    pub fn poll_peek(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_peek(cx, buffer)
    }

    /// Waits until the stream is ready for something in `interest`, and returns its readiness.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are transferred, and the stream stays ready.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.socket().io().ready(interest).await
    }

    /// Waits until the stream is probably [readable](UnixStream::readable).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are read, and the stream stays readable.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket().io().readable().await
    }

    /// Reads the bytes that have arrived into `buffer`, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::try_read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket().try_read(buffer)
    }

    /// Reads the bytes that have arrived into several buffers in turn, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket().try_read_vectored(buffers)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream().local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }

    #[inline]
    fn stream(&self) -> &UnixStream {
        self.0
    }

    #[inline]
    pub(super) fn socket(&self) -> &StreamSocket<Unix> {
        self.0.socket()
    }
}

impl AsRef<UnixStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &UnixStream {
        self.0
    }
}

/// The half of a borrowed [`UnixStream`] that writes, from [`UnixStream::split`].
///
/// Dropping it shuts nothing down: the stream remains whole.
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a UnixStream);

impl WriteHalf<'_> {
    /// Writes some of `bytes`, and returns how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were written if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::write`].
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket().write(bytes)
    }

    /// Writes some bytes from several buffers in turn, and returns how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were written if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::write`].
    #[inline]
    pub fn write_vectored(
        &mut self,
        buffers: &[IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket().write_vectored(buffers)
    }

    /// Writes all of `bytes`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of `bytes` may have been written, and their number is lost.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::write_all`].
    #[inline]
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Unpin {
        self.socket().write_all(bytes)
    }

    /// Shuts down the writing direction: the peer reads to the end. Reading continues.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future completes the first time it is polled.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::shutdown`].
    pub fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Unpin {
        self.socket().shutdown()
    }

    /// Waits until the stream is ready for something in `interest`, and returns its readiness.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are transferred, and the stream stays ready.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.socket().io().ready(interest).await
    }

    /// Waits until the stream is probably [writable](UnixStream::writable).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are written, and the stream stays writable.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().io().writable().await
    }

    /// Writes as many of `bytes` as the system accepts without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket().try_write(bytes)
    }

    /// Writes as many bytes from several buffers in turn as the system accepts without
    /// waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::try_write`].
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket().try_write_vectored(buffers)
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream().local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }

    #[inline]
    fn stream(&self) -> &UnixStream {
        self.0
    }

    #[inline]
    pub(super) fn socket(&self) -> &StreamSocket<Unix> {
        self.0.socket()
    }
}

impl AsRef<UnixStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &UnixStream {
        self.0
    }
}
