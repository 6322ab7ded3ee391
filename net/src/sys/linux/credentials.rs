//! The credentials of a Unix peer: `SO_PEERCRED`.
//!
//! rustix would store the process id in a type that cannot be zero, but the id is 0 for a
//! process of another namespace.
#![expect(
    unsafe_code,
    reason = "one call to libc: std, socket2 and rustix have none that bears the process id 0"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::sys::Credentials;

/// Returns the ids of the process at the other end of a Unix socket.
pub(crate) fn peer_credentials(socket: impl AsFd) -> io::Result<Credentials> {
    #[expect(clippy::cast_possible_truncation, reason = "it is a few bytes")]
    const LENGTH: libc::socklen_t = size_of::<libc::ucred>() as libc::socklen_t;

    let socket = socket.as_fd();
    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = LENGTH;
    // SAFETY: the descriptor is borrowed, so it is open. The kernel writes at most `length`
    // bytes, which is the size of `credentials`, and any bytes make three valid integers.
    // Nothing else refers to either variable during the call.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    if length != LENGTH {
        return Err(io::Error::other(
            "the system returned credentials of an unknown size",
        ));
    }
    // The kernel reports these two ids for a socket without a peer. For a user without an id
    // in this namespace it reports the number in `/proc/sys/kernel/overflowuid`, 65534.
    if credentials.pid == 0 && credentials.uid == libc::uid_t::MAX {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(Credentials {
        uid: credentials.uid,
        gid: credentials.gid,
        pid: Some(credentials.pid).filter(|&pid| pid != 0),
    })
}
