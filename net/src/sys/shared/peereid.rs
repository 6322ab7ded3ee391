//! The credentials of a Unix peer: `getpeereid`, which reports no process id.
#![expect(
    unsafe_code,
    reason = "one call to libc: neither std, nor socket2, nor rustix has it here"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::sys::Credentials;

/// Returns the ids of the user and the group at the other end of a Unix socket.
pub(crate) fn peer_credentials(socket: impl AsFd) -> io::Result<Credentials> {
    let socket = socket.as_fd();
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is borrowed, so it is open. The call writes one id to each of the
    // two variables, and nothing else refers to them during the call.
    let answer = unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Credentials {
        uid,
        gid,
        pid: None,
    })
}
