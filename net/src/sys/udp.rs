//! System calls for UDP.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Type};

use super::{NO_SIGPIPE, socket as new_socket};

pub(crate) use super::send_many;
pub(crate) use super::{local_addr, peer_addr};

/// Returns a socket that is bound to `address`.
pub(crate) fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(address);
    let socket = new_socket(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Receives one datagram, and returns the number of its bytes and its sender.
pub(crate) fn receive_from(
    socket: &OwnedFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, SocketAddr)> {
    let (_, count, from) = rustix::net::recvfrom(socket, buffer, flags)?;
    let from = from.ok_or(Errno::INVAL)?;
    Ok((count, from.try_into()?))
}

/// Sends one datagram.
pub(crate) fn send_to(socket: &OwnedFd, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    Ok(rustix::net::sendto(socket, bytes, NO_SIGPIPE, &to)?)
}
