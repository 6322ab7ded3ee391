//! Connecting to one address.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use super::{TcpSocket, TcpStream};
use crate::sys::tcp as sys;

/// A socket on the loop that has not been connected.
pub(super) struct Unconnected {
    stream: TcpStream,
    /// Whether the system chooses the local port, and so may choose the port that the socket
    /// connects to.
    port_is_chosen: bool,
}

impl Unconnected {
    /// Returns a socket of the family of `address`.
    pub(super) fn for_address(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpSocket::for_address(address)?)
    }

    pub(super) fn new(socket: TcpSocket) -> io::Result<Self> {
        let port_is_chosen = !socket.has_port();
        Ok(Self {
            stream: TcpStream::from_nonblocking(socket.into_nonblocking()?.into())?,
            port_is_chosen,
        })
    }

    pub(super) async fn connect(self, to: SocketAddr) -> io::Result<TcpStream> {
        let mut attempt = Attempt::new(self, to);
        poll_fn(|cx| attempt.poll(cx)).await?;
        Ok(attempt.into_stream())
    }
}

/// An attempt to connect. Dropping it closes the socket.
pub(super) struct Attempt {
    socket: Unconnected,
    to: SocketAddr,
    started: bool,
}

impl Attempt {
    pub(super) fn new(socket: Unconnected, to: SocketAddr) -> Self {
        Self {
            socket,
            to,
            started: false,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Unconnected {
            stream,
            port_is_chosen,
        } = &self.socket;
        stream.socket().io().poll_write_with(cx, |socket| {
            step(socket, self.to, &mut self.started)?;
            if *port_is_chosen {
                sys::refuse_itself(socket, self.to)?;
            }
            Ok(())
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.socket.stream
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.socket.stream
    }
}

/// Starts to connect, or returns the outcome.
fn step(socket: &OwnedFd, to: SocketAddr, started: &mut bool) -> io::Result<()> {
    if *started {
        sys::finish_connect(socket)
    } else {
        *started = true;
        sys::start_connect(socket, to)
    }
}
