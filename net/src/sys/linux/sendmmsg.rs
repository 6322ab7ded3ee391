//! Sending many datagrams with one system call.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::slice;

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SocketAddrAny, sendmmsg};

use super::NO_SIGPIPE;

/// Sends datagrams until the system accepts no more, and returns how many it accepted.
pub(crate) fn send_many(
    socket: &OwnedFd,
    messages: &[(impl AsRef<[u8]>, SocketAddr)],
) -> io::Result<usize> {
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
    Ok(sendmmsg(socket, &mut headers, NO_SIGPIPE)?)
}
