//! Reading from a [`TcpStream`].

use std::io::{self, IoSliceMut};
use std::task::{Context, Poll};

use super::TcpStream;

impl TcpStream {
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
    /// Returns an error if the system call fails, such as
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn serve(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// let mut buffer = [0; 1024];
    /// loop {
    ///     let count = stream.read(&mut buffer).await?;
    ///     if count == 0 {
    ///         return Ok(());
    ///     }
    ///     stream.write_all(&buffer[..count]).await?;
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket.read(buffer)
    }

    /// Reads some bytes into several buffers in turn, and returns how many.
    ///
    /// At most the first 1024 buffers are used.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were read if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, like [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn read(mut stream: coreloop::net::TcpStream) -> std::io::Result<()> {
    /// use std::io::IoSliceMut;
    ///
    /// let (mut header, mut body) = ([0; 8], [0; 1024]);
    /// let mut buffers = [IoSliceMut::new(&mut header), IoSliceMut::new(&mut body)];
    /// let count = stream.read_vectored(&mut buffers).await?;
    /// # let _ = count;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn read_vectored(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket.read_vectored(buffers)
    }

    /// Reads until `buffer` is full, and returns its length.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the bytes read so far are in `buffer`, but their number is lost.
    ///
    /// # Errors
    ///
    /// Returns [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer sends no more
    /// bytes before `buffer` is full, or an error like [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn header(mut stream: coreloop::net::TcpStream) -> std::io::Result<u32> {
    /// let mut length = [0; 4];
    /// stream.read_exact(&mut length).await?;
    /// # Ok(
    /// u32::from_be_bytes(length)
    /// # )
    /// # }
    /// ```
    #[inline]
    pub fn read_exact(
        &mut self,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Unpin {
        self.socket.read_exact(buffer)
    }

    /// Reads some bytes without removing them: the next read returns them again.
    ///
    /// `Ok(0)` means that the peer sends no more bytes, or that `buffer` is empty. Any number
    /// of tasks may peek at a shared stream.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, like [`read`](Self::read).
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
        self.socket.peek(buffer).await
    }

    /// Polls for bytes to [`peek`](Self::peek) at. Only the task that polled this method or a
    /// read last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, like [`read`](Self::read).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_peek(cx, buffer)
    }

    /// Waits until the stream is probably readable: until it has bytes, or has ended.
    ///
    /// Any number of tasks may wait. The future may complete too early, so follow it with
    /// [`try_read`](Self::try_read), in a loop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes are read, and the stream stays readable.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
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
        self.socket.io().readable().await
    }

    /// Polls until the stream is [`readable`](Self::readable). Only the task that polled this
    /// method or a read last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.io().poll_readable(cx)
    }

    /// Reads the bytes that have arrived into `buffer`, without waiting.
    ///
    /// `Ok(0)` means that the peer sends no more bytes, or that `buffer` is empty.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no bytes have arrived, or an
    /// error like [`read`](Self::read).
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buffer)
    }

    /// Reads the bytes that have arrived into several buffers in turn, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.try_read_vectored(buffers)
    }
}
