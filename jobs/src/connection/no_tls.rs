//! The interface of `tls.rs` without the feature `tls`: there is no TLS, so there are no values of
//! these types.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_net::TcpStream;
use futures_io::{AsyncRead, AsyncWrite};

/// A connection with TLS.
pub(crate) enum Stream {}

/// The side of a manager.
pub(crate) enum Acceptor {}

impl Acceptor {
    #[expect(clippy::unused_async, reason = "with TLS it waits")]
    pub(crate) async fn accept(&self, _stream: TcpStream) -> io::Result<Stream> {
        match *self {}
    }
}

/// The side of a client.
pub(crate) enum Connector {}

impl Connector {
    #[expect(clippy::unused_async, reason = "with TLS it waits")]
    pub(crate) async fn connect(&self, _stream: TcpStream) -> io::Result<Stream> {
        match *self {}
    }
}

/// Returns the bytes that name the TLS session.
pub(crate) fn binding(stream: &Stream) -> io::Result<Vec<u8>> {
    match *stream {}
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
