//! The system calls that only TCP needs; see [`crate::sys`] for the others.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::sys;

pub(super) use crate::sys::{local_addr, peer_addr};

/// How many finished connections the kernel keeps until they are accepted. It
/// cuts this to its own limit (`somaxconn` on Linux).
const BACKLOG: i32 = 1024;

/// A new socket of `address`'s family.
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    sys::socket(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
}

/// A socket that listens on `address`.
pub(super) fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = socket(address)?;
    // A restarted server may bind while connections of the last one linger in
    // TIME_WAIT. Elsewhere than on Unix the option means something else: that
    // a second server may steal the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes one connection off `listener`'s queue.
pub(super) fn accept(listener: &net::TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (stream, peer) = sys::accept(listener)?;
    // Some kernels give no address for a peer that has left already.
    let peer = peer.ok_or(Errno::CONNABORTED)?;
    Ok((stream, peer.try_into()?))
}

/// Starts to connect. `WouldBlock` says that it goes on in the background.
pub(super) fn start_connect(stream: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    match SockRef::from(stream).connect(&to.into()) {
        // An interrupted connect goes on like any other, says POSIX.
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

/// How a connect that was started has ended. `WouldBlock` if it has not.
///
/// Readiness alone proves nothing: it may be left from before.
pub(super) fn finish_connect(stream: &OwnedFd) -> io::Result<()> {
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

/// Refuses a connection of a socket to itself, whose port the system chose.
///
/// Where nothing listens at a port, a socket that connects to it may be given that very
/// port, and then meets its own request: the simultaneous open of TCP. The caller would
/// talk to itself, and keep the port from the server that is to listen there. Go tries
/// twice more and then accepts the connection; but as nothing listens, it is refused here.
pub(super) fn refuse_itself(stream: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    let is_same =
        |one: SocketAddr, other: SocketAddr| (one.ip(), one.port()) == (other.ip(), other.port());
    let met_itself = local_addr(stream).is_ok_and(|local| {
        // `to` may be the unspecified address, which is not the address of the peer.
        local.port() == to.port() && peer_addr(stream).is_ok_and(|peer| is_same(local, peer))
    });
    if !met_itself {
        return Ok(());
    }
    // A reset leaves nothing behind at the port.
    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Err(Errno::CONNREFUSED.into())
}
