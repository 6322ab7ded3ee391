//! Creating and accepting sockets with their flags: one system call each.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};

/// Returns a new socket.
pub(crate) fn socket(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    Socket::new(domain, kind.nonblocking(), protocol)
}

/// Returns two Unix sockets that are connected to each other.
pub(crate) fn pair(kind: Type) -> io::Result<(Socket, Socket)> {
    Socket::pair(Domain::UNIX, kind.nonblocking(), None)
}

/// Takes one connection off the queue of `listener`, and returns the address of its peer if
/// the system reports it.
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(acceptfrom_with(listener, flags)?)
}
