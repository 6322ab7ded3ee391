//! The system calls that only UDP needs; see [`crate::sys`] for the others.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Type};

use crate::sys;

/// A socket that is bound to `address`.
pub(super) fn bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(address);
    let socket = sys::socket(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Receives one datagram, and tells who it is from.
pub(super) fn receive_from(
    socket: &OwnedFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, SocketAddr)> {
    let (_, count, from) = rustix::net::recvfrom(socket, buffer, flags)?;
    let from = from.ok_or(Errno::INVAL)?;
    Ok((count, from.try_into()?))
}

/// Sends one datagram.
pub(super) fn send_to(socket: &OwnedFd, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    Ok(rustix::net::sendto(socket, bytes, sys::QUIET, &to)?)
}

/// Sends datagrams until the system takes no more, and says how many it took. One
/// system call for all of them.
#[cfg(target_os = "linux")]
pub(super) fn send_many(
    socket: &OwnedFd,
    messages: &[(impl AsRef<[u8]>, SocketAddr)],
) -> io::Result<usize> {
    use std::io::IoSlice;
    use std::slice;

    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SocketAddrAny, sendmmsg};

    let parts: Vec<(IoSlice<'_>, SocketAddrAny)> = messages
        .iter()
        .map(|(bytes, to)| (IoSlice::new(bytes.as_ref()), (*to).into()))
        .collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = Vec::new();
    controls.resize_with(parts.len(), SendAncillaryBuffer::default);
    let mut headers: Vec<MMsgHdr<'_>> = parts
        .iter()
        .zip(&mut controls)
        .map(|((bytes, to), control)| MMsgHdr::new_with_addr(to, slice::from_ref(bytes), control))
        .collect();
    Ok(sendmmsg(socket, &mut headers, sys::QUIET)?)
}

/// Sends datagrams until the system takes no more, and says how many it took.
#[cfg(not(target_os = "linux"))]
pub(super) fn send_many(
    socket: &OwnedFd,
    messages: &[(impl AsRef<[u8]>, SocketAddr)],
) -> io::Result<usize> {
    let mut sent = 0;
    for (bytes, to) in messages {
        match send_to(socket, bytes.as_ref(), *to) {
            Ok(_) => sent += 1,
            Err(error) if sent == 0 => return Err(error),
            // It comes again with the next call, if it lasts.
            Err(_) => break,
        }
    }
    Ok(sent)
}
