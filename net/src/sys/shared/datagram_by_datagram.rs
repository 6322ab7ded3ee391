//! Platforms without `sendmmsg`, or with one that rustix does not call.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::sys::udp::send_to;

/// Sends datagrams until the system accepts no more, and returns how many it accepted.
pub(crate) fn send_many(
    socket: &OwnedFd,
    messages: &[(impl AsRef<[u8]>, SocketAddr)],
) -> io::Result<usize> {
    let mut sent = 0;
    for (bytes, to) in messages {
        match send_to(socket, bytes.as_ref(), *to) {
            Ok(_) => sent += 1,
            Err(error) if sent == 0 => return Err(error),
            // The next call returns this error, if it lasts.
            Err(_) => break,
        }
    }
    Ok(sent)
}
