//! [`Io`]: hyper's traits for any stream that implements the traits of futures-io.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::hyper::rt::{Read, ReadBufCursor, Write};
use futures_io::{AsyncRead, AsyncWrite};

use crate::forward::forward_write;

/// The maximum number of bytes that one read returns.
const SCRATCH: usize = 8 * 1024;

/// A wrapper that implements hyper's I/O traits for a stream with the traits of futures-io,
/// for example a TLS stream.
///
/// The sockets of `coreloop::net` need no wrapper. For a stream that implements the traits of
/// tokio, such as a stream of tokio-rustls, use `TokioIo` of hyper-util.
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
    pub fn new(stream: T) -> Self {
        Self { stream }
    }

    /// Returns a reference to the stream.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// Returns a mutable reference to the stream.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Returns the stream, and drops the wrapper.
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
        // hyper's buffer may be uninitialized, and futures-io takes only initialized memory.
        let mut scratch = [0; SCRATCH];
        let room = buffer.remaining().min(SCRATCH);
        let stream = Pin::new(&mut self.get_mut().stream);
        let count = ready!(stream.poll_read(cx, &mut scratch[..room]))?;
        buffer.put_slice(&scratch[..count]);
        Poll::Ready(Ok(()))
    }
}

forward_write! {
    Write, poll_shutdown;
    [T: AsyncWrite + Unpin] Io<T> => |this| this.stream, AsyncWrite, poll_close
}
