//! Descriptors beside the bytes of the halves of a stream.

use std::io;
use std::os::fd::BorrowedFd;

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReceivedFds, WriteHalf};

impl ReadHalf<'_> {
    /// Reads some bytes with the descriptors that came with them, like
    /// [`UnixStream::recv_with_fds`](super::UnixStream::recv_with_fds).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes and no descriptors were received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::recv_with_fds`](super::UnixStream::recv_with_fds).
    pub async fn recv_with_fds(&mut self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.socket().recv_with_fds(buffer).await
    }

    /// Receives like [`recv_with_fds`](Self::recv_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like
    /// [`UnixStream::try_recv_with_fds`](super::UnixStream::try_recv_with_fds).
    pub fn try_recv_with_fds(&self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.socket().try_recv_with_fds(buffer)
    }
}

impl WriteHalf<'_> {
    /// Writes some of `bytes` with duplicates of the descriptors `fds`, like
    /// [`UnixStream::send_with_fds`](super::UnixStream::send_with_fds).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes and no descriptors were sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::send_with_fds`](super::UnixStream::send_with_fds).
    pub async fn send_with_fds(
        &mut self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        self.socket().send_with_fds(bytes, fds).await
    }

    /// Sends like [`send_with_fds`](Self::send_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like
    /// [`UnixStream::try_send_with_fds`](super::UnixStream::try_send_with_fds).
    pub fn try_send_with_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.socket().try_send_with_fds(bytes, fds)
    }
}

impl OwnedReadHalf {
    /// Reads some bytes with the descriptors that came with them, like
    /// [`UnixStream::recv_with_fds`](super::UnixStream::recv_with_fds).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes and no descriptors were received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::recv_with_fds`](super::UnixStream::recv_with_fds).
    pub async fn recv_with_fds(&mut self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.socket().recv_with_fds(buffer).await
    }

    /// Receives like [`recv_with_fds`](Self::recv_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like
    /// [`UnixStream::try_recv_with_fds`](super::UnixStream::try_recv_with_fds).
    pub fn try_recv_with_fds(&self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.socket().try_recv_with_fds(buffer)
    }
}

impl OwnedWriteHalf {
    /// Writes some of `bytes` with duplicates of the descriptors `fds`, like
    /// [`UnixStream::send_with_fds`](super::UnixStream::send_with_fds).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes and no descriptors were sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`UnixStream::send_with_fds`](super::UnixStream::send_with_fds).
    pub async fn send_with_fds(
        &mut self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        self.socket().send_with_fds(bytes, fds).await
    }

    /// Sends like [`send_with_fds`](Self::send_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like
    /// [`UnixStream::try_send_with_fds`](super::UnixStream::try_send_with_fds).
    pub fn try_send_with_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.socket().try_send_with_fds(bytes, fds)
    }
}
