//! hyper's traits for any stream that has those of futures-io.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::rt::{Read, ReadBufCursor, Write};
use futures_io::{AsyncRead, AsyncWrite};

/// The most that one read gives.
const SCRATCH: usize = 8 * 1024;

/// A stream of futures-io, as hyper takes it: one of TLS, for instance.
///
/// The sockets of `coreloop::net` need no wrapper. What has the traits of tokio,
/// as the streams of tokio-rustls do, goes into `TokioIo` of hyper-util.
///
/// Dropping it drops the stream, without a `close`.
///
/// # Examples
///
/// ```
/// use coreloop::hyper::{Io, LoopTimer};
/// use futures_lite::io::{AsyncRead, AsyncWrite};
/// use hyper::server::conn::http1;
/// # use hyper::{Request, Response, body::Incoming};
///
/// async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin) -> hyper::Result<()> {
///     let service = hyper::service::service_fn(hello);
///     http1::Builder::new()
///         .timer(LoopTimer)
///         .serve_connection(Io::new(stream), service)
///         .await
/// }
/// # async fn hello(_: Request<Incoming>) -> Result<Response<String>, std::io::Error> {
/// #     Ok(Response::new("hello".to_owned()))
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Io<T> {
    stream: T,
}

impl<T> Io<T> {
    /// Wraps a stream.
    pub fn new(stream: T) -> Io<T> {
        Io { stream }
    }

    /// The stream.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// The stream.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Takes the stream out.
    pub fn into_inner(self) -> T {
        self.stream
    }
}

impl<T: AsyncRead + Unpin> Read for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's buffer may hold nothing yet, and futures-io writes only where
        // something is.
        let mut scratch = [0; SCRATCH];
        let room = buffer.remaining().min(SCRATCH);
        let stream = Pin::new(&mut self.get_mut().stream);
        let count = ready!(stream.poll_read(cx, &mut scratch[..room]))?;
        buffer.put_slice(&scratch[..count]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Write for Io<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}
