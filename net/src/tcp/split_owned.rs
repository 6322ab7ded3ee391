//! Halves that own the stream together, for two tasks.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use coreloop_runtime::io::{Interest, Ready};

use super::{Tcp, TcpStream};
use crate::stream::StreamSocket;

/// The half of a [`TcpStream`] that reads, from [`TcpStream::into_split`].
///
/// # Examples
///
/// ```
/// use coreloop::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let (mut reader, mut writer) = client.into_split();
///     let answer = coreloop::spawn(async move {
///         let mut answer = [0; 2];
///         reader.read_exact(&mut answer).await.map(|_| answer)
///     });
///     writer.write_all(b"hello").await?;
///     drop(writer); // The server now reads to the end.
///
///     let mut greeting = [0; 8];
///     assert_eq!(server.read(&mut greeting).await?, 5);
///     assert_eq!(server.read(&mut greeting).await?, 0);
///     server.write_all(b"ok").await?;
///     assert_eq!(&answer.await.expect("the task is not aborted")?, b"ok");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf {
    pub(super) stream: Rc<TcpStream>,
}

impl OwnedReadHalf {
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
    /// Returns an error like [`TcpStream::read`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn read(mut half: coreloop::net::tcp::OwnedReadHalf) -> std::io::Result<()> {
    /// let mut buffer = [0; 1024];
    /// let count = half.read(&mut buffer).await?;
    /// println!("{}", buffer[..count].escape_ascii());
    /// # Ok(())
    /// # }
    /// ```
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
    /// Returns an error like [`TcpStream::read`].
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
    /// Returns an error like [`TcpStream::read_exact`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn read(mut half: coreloop::net::tcp::OwnedReadHalf) -> std::io::Result<()> {
    /// let mut header = [0; 4];
    /// half.read_exact(&mut header).await?;
    /// # Ok(())
    /// # }
    /// ```
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
    /// Returns an error like [`TcpStream::read`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn sniff(half: coreloop::net::tcp::OwnedReadHalf) -> std::io::Result<()> {
    /// let mut first = [0; 1];
    /// half.peek(&mut first).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket().peek(buffer).await
    }

    /// Polls for bytes to [`peek`](Self::peek) at. Only the task that polled this method or a
    /// read last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::read`].
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

    /// Waits until the stream is probably [readable](TcpStream::readable).
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
    /// # async fn read(half: coreloop::net::tcp::OwnedReadHalf) -> std::io::Result<()> {
    /// half.readable().await?;
    /// let count = half.try_read(&mut [0; 1024]);
    /// # let _ = count;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.socket().io().readable().await
    }

    /// Reads the bytes that have arrived into `buffer`, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::try_read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket().try_read(buffer)
    }

    /// Reads the bytes that have arrived into several buffers in turn, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket().try_read_vectored(buffers)
    }

    /// Puts the two halves of one stream together again.
    ///
    /// # Errors
    ///
    /// Returns an error that holds both halves if they are not of the same stream.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
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
    fn stream(&self) -> &TcpStream {
        &self.stream
    }

    #[inline]
    pub(super) fn socket(&self) -> &StreamSocket<Tcp> {
        self.stream.socket()
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

/// The half of a [`TcpStream`] that writes, from [`TcpStream::into_split`].
///
/// Dropping it shuts down the writing direction, so that the peer reads to the end.
/// [`forget`](Self::forget) drops it without a shutdown.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    pub(super) stream: Rc<TcpStream>,
    pub(super) shutdown_on_drop: bool,
}

impl OwnedWriteHalf {
    /// Writes some of `bytes`, and returns how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes were written if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::write`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn greet(mut half: coreloop::net::tcp::OwnedWriteHalf) -> std::io::Result<()> {
    /// let count = half.write(b"hello").await?;
    /// println!("{count} bytes are on their way");
    /// # Ok(())
    /// # }
    /// ```
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
    /// Returns an error like [`TcpStream::write`].
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
    /// Returns an error like [`TcpStream::write_all`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn greet(mut half: coreloop::net::tcp::OwnedWriteHalf) -> std::io::Result<()> {
    /// half.write_all(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
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
    /// Returns an error like [`TcpStream::shutdown`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn finish(mut half: coreloop::net::tcp::OwnedWriteHalf) -> std::io::Result<()> {
    /// half.write_all(b"that is all").await?;
    /// half.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Waits until the stream is probably [writable](TcpStream::writable).
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
    /// # async fn greet(half: coreloop::net::tcp::OwnedWriteHalf) -> std::io::Result<()> {
    /// half.writable().await?;
    /// let count = half.try_write(b"hello");
    /// # let _ = count;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().io().writable().await
    }

    /// Writes as many of `bytes` as the system accepts without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket().try_write(bytes)
    }

    /// Writes as many bytes from several buffers in turn as the system accepts without
    /// waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpStream::try_write`].
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket().try_write_vectored(buffers)
    }

    /// Puts the two halves of one stream together again.
    ///
    /// # Errors
    ///
    /// Returns an error that holds both halves if they are not of the same stream.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops this half without shutting down the writing direction.
    ///
    /// The stream stays open as long as the other half.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
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
    fn stream(&self) -> &TcpStream {
        &self.stream
    }

    #[inline]
    pub(super) fn socket(&self) -> &StreamSocket<Tcp> {
        self.stream.socket()
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // An error cannot be returned here, and a connection that cannot be shut down
            // has been closed already.
            drop(self.socket().shutdown_write());
        }
    }
}

fn reunite(reader: OwnedReadHalf, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
    if !Rc::ptr_eq(&reader.stream, &writer.stream) {
        return Err(ReuniteError(reader, writer));
    }
    writer.forget();
    let stream = Rc::into_inner(reader.stream);
    Ok(stream.expect("a stream in halves has no owner but the two"))
}

/// The error of `reunite` for halves that are not of the same stream.
///
/// It holds both halves.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same stream")
    }
}

impl Error for ReuniteError {}
