//! Writing to a [`TcpStream`].

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use super::TcpStream;

impl TcpStream {
    /// Writes some of `bytes`, and returns how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were written if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe). No `SIGPIPE` is raised.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn greet(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// let count = stream.write(b"hello").await?;
    /// println!("{count} bytes are on their way");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket.write(bytes)
    }

    /// Writes some bytes from several buffers in turn, and returns how many.
    ///
    /// At most the first 1024 buffers are used.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were written if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, like [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn write(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// use std::io::IoSlice;
    ///
    /// let count = stream
    ///     .write_vectored(&[IoSlice::new(b"header"), IoSlice::new(b"body")])
    ///     .await?;
    /// # let _ = count;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn write_vectored(
        &mut self,
        buffers: &[IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket.write_vectored(buffers)
    }

    /// Writes all of `bytes`.
    ///
    /// While the peer does not read, the future waits. It holds no copy of `bytes`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of `bytes` may have been written, and their number is lost.
    ///
    /// # Errors
    ///
    /// Returns [`WriteZero`](io::ErrorKind::WriteZero) if the system accepts no more bytes, or
    /// an error like [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn greet(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// stream.write_all(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Unpin {
        self.socket.write_all(bytes)
    }

    /// Shuts down the writing direction: the peer reads to the end. Reading continues.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future completes the first time it is polled.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails. A connection that has been closed or reset
    /// counts as shut down.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn finish(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// stream.write_all(b"that is all").await?;
    /// stream.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Unpin {
        self.socket.shutdown()
    }

    /// Waits until the stream is probably writable. The counterpart of
    /// [`readable`](Self::readable).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are written, and the stream stays writable.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
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
        self.socket.io().writable().await
    }

    /// Polls until the stream is [`writable`](Self::writable). Only the task that polled this
    /// method or a write last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.io().poll_writable(cx)
    }

    /// Writes as many of `bytes` as the system accepts without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system accepts none, or an
    /// error like [`write`](Self::write).
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    /// Writes as many bytes from several buffers in turn as the system accepts without
    /// waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_write_vectored(buffers)
    }
}
