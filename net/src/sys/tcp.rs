//! System calls for TCP.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{accept as accept_any, socket as new_socket};

pub(crate) use super::{local_addr, peer_addr};

/// How many connections the kernel queues until they are accepted. The kernel reduces this to
/// its own limit (`somaxconn` on Linux).
const BACKLOG: i32 = 1024;

/// Returns a new socket of the family of `address`.
pub(crate) fn socket(address: SocketAddr) -> io::Result<Socket> {
    new_socket(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
}

/// Returns a socket that listens on `address`.
pub(crate) fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = socket(address)?;
    // A server that restarts has to bind the same port while connections of its predecessor
    // linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes one connection off the queue of `listener`.
pub(crate) fn accept(listener: &net::TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (stream, peer) = accept_any(listener)?;
    // Some kernels report no address for a peer that has closed the connection already.
    let peer = peer.ok_or(Errno::CONNABORTED)?;
    Ok((stream, peer.try_into()?))
}

/// Starts to connect. `WouldBlock` means that the kernel continues in the background.
pub(crate) fn start_connect(stream: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    match SockRef::from(stream).connect(&to.into()) {
        // According to POSIX, a connect that was interrupted continues like any other.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::INPROGRESS | Errno::INTR)
            ) =>
        {
            Err(io::ErrorKind::WouldBlock.into())
        }
        result => result,
    }
}

/// Returns the outcome of a connect in the background, or `WouldBlock` if it has not finished.
///
/// Readiness alone proves nothing, because it may be older than the connect.
pub(crate) fn finish_connect(stream: &OwnedFd) -> io::Result<()> {
    let stream = SockRef::from(stream);
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

/// Refuses a connection of a socket to itself, for a socket whose port the system chose.
///
/// A socket that connects to a local port at which nothing listens may be given that very
/// port, and then meets its own request: the simultaneous open of TCP. The caller would talk
/// to itself, and keep the port from the server that should listen there. Go tries twice more
/// and then accepts the connection; but since nothing listens, it is refused here.
pub(crate) fn refuse_itself(stream: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    let is_same =
        |one: SocketAddr, other: SocketAddr| (one.ip(), one.port()) == (other.ip(), other.port());
    let met_itself = local_addr(stream).is_ok_and(|local| {
        // `to` may be the unspecified address, which is not the address of the peer.
        local.port() == to.port() && peer_addr(stream).is_ok_and(|peer| is_same(local, peer))
    });
    if !met_itself {
        return Ok(());
    }
    // A reset leaves no connection in TIME_WAIT at the port.
    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Err(Errno::CONNREFUSED.into())
}
