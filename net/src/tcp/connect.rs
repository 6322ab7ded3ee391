//! Connecting to one address.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use super::{TcpSocket, TcpStream, sys};

/// Connects to `address`.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = open(address)?;
    establish(&stream, address).await?;
    Ok(stream)
}

/// A stream of `address`'s family that is not connected yet.
pub(super) fn open(address: SocketAddr) -> io::Result<TcpStream> {
    unconnected(TcpSocket::for_address(address)?)
}

/// The stream that `socket` will be once it is connected.
pub(super) fn unconnected(socket: TcpSocket) -> io::Result<TcpStream> {
    TcpStream::from_nonblocking(socket.into_nonblocking()?.into())
}

/// Connects a stream that is not connected yet.
pub(super) async fn establish(stream: &TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut started = false;
    stream
        .io
        .write_with(|socket| step(socket, to, &mut started))
        .await
}

/// An attempt to connect, which is over if it is dropped.
pub(super) struct Attempt {
    stream: TcpStream,
    to: SocketAddr,
    started: bool,
}

impl Attempt {
    pub(super) fn new(stream: TcpStream, to: SocketAddr) -> Attempt {
        Attempt {
            stream,
            to,
            started: false,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Attempt {
            stream,
            to,
            started,
        } = self;
        stream
            .io
            .poll_write_with(cx, |socket| step(socket, *to, started))
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Starts to connect, or finds out how it went.
fn step(socket: &OwnedFd, to: SocketAddr, started: &mut bool) -> io::Result<()> {
    if *started {
        sys::finish_connect(socket)
    } else {
        *started = true;
        sys::start_connect(socket, to)
    }
}
