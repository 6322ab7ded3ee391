//! Creating and accepting sockets whose flags are set afterwards, as Apple's systems require.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::SocketAddrAny;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Returns a new socket. socket2 also sets `SO_NOSIGPIPE` where it exists.
pub(crate) fn socket(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Returns two Unix sockets that are connected to each other.
pub(crate) fn pair(kind: Type) -> io::Result<(Socket, Socket)> {
    let (one, other) = Socket::pair(Domain::UNIX, kind, None)?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((one, other))
}

/// Takes one connection off the queue of `listener`, and returns the address of its peer if
/// the system reports it. socket2 sets `SO_NOSIGPIPE` where it exists.
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (stream, _) = SockRef::from(&listener).accept()?;
    stream.set_nonblocking(true)?;
    let peer = rustix::net::getpeername(&stream)?;
    Ok((stream.into(), peer))
}
