//! The internet addresses of a socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{SockAddr, SockRef};

/// Returns the address that a socket is bound to.
pub(crate) fn local_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    internet(&SockRef::from(&socket).local_addr()?)
}

/// Returns the address that a socket is connected to.
pub(crate) fn peer_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    internet(&SockRef::from(&socket).peer_addr()?)
}

fn internet(address: &SockAddr) -> io::Result<SocketAddr> {
    let not_internet = || io::Error::new(io::ErrorKind::InvalidInput, "not an internet address");
    address.as_socket().ok_or_else(not_internet)
}
