//! What a stream has ready: looking at it, waiting for it, and taking it without
//! waiting. All of it by a shared reference.

use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context, Poll};

use rustix::net::RecvFlags;

use super::{TcpStream, sys, transfer};

impl TcpStream {
    /// Reads some bytes without taking them: the next read gets them again.
    ///
    /// Any number of tasks may peek, though the stream is shared.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are taken.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn sniff(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// let mut first = [0; 1];
    /// let is_tls = stream.peek(&mut first).await? == 1 && first[0] == 0x16;
    /// # let _ = is_tls;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io
            .read_with(|socket| sys::receive(socket, buffer, RecvFlags::PEEK))
            .await
    }

    /// Polls for bytes to [`peek`](Self::peek) at. Only the task that polled this
    /// or a read last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io
            .poll_read_with(cx, |socket| sys::receive(socket, buffer, RecvFlags::PEEK))
    }

    /// Waits until a read would probably not wait.
    ///
    /// Any number of tasks may wait. It may complete too early, so follow it with
    /// [`try_read`](Self::try_read) in a loop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is read, and readiness stays.
    ///
    /// # Errors
    ///
    /// If the runtime is gone.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn read(stream: coreloop::net::TcpStream) -> std::io::Result<usize> {
    /// let mut buffer = [0; 1024];
    /// loop {
    ///     stream.readable().await?;
    ///     match stream.try_read(&mut buffer) {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
    ///         result => return result,
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Waits until a write would probably not wait. The counterpart of
    /// [`readable`](Self::readable), for [`try_write`](Self::try_write).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is written, and readiness stays.
    ///
    /// # Errors
    ///
    /// If the runtime is gone.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn write(stream: coreloop::net::TcpStream) -> std::io::Result<usize> {
    /// loop {
    ///     stream.writable().await?;
    ///     match stream.try_write(b"hello") {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
    ///         result => return result,
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Polls as [`readable`](Self::readable) awaits. Only the task that polled
    /// this or a read last is woken.
    ///
    /// # Errors
    ///
    /// If the runtime is gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(cx)
    }

    /// Polls as [`writable`](Self::writable) awaits. Only the task that polled
    /// this or a write last is woken.
    ///
    /// # Errors
    ///
    /// If the runtime is gone.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_writable(cx)
    }

    /// Reads what is there now, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; otherwise
    /// those of [`read`](Self::read).
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        transfer::try_read(self, buffer)
    }

    /// As [`try_read`](Self::try_read), into several buffers in turn.
    ///
    /// # Errors
    ///
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let count = buffers.len().min(sys::MOST_BUFFERS);
        self.io
            .try_read_with(|socket| sys::receive_vectored(socket, &mut buffers[..count]))
    }

    /// Writes what the system takes now, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if it takes nothing; otherwise
    /// those of [`write`](Self::write).
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        transfer::try_write(self, bytes)
    }

    /// As [`try_write`](Self::try_write), from several buffers in turn.
    ///
    /// # Errors
    ///
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let buffers = &buffers[..buffers.len().min(sys::MOST_BUFFERS)];
        self.io
            .try_write_with(|socket| sys::send_vectored(socket, buffers))
    }
}
