//! [`UCred`]: who is at the other end.

use std::io;
use std::os::fd::AsFd;

/// The credentials of the process at the other end of a
/// [`UnixStream`](super::UnixStream), as they were when it connected, listened or made
/// the pair.
///
/// # Examples
///
/// ```
/// use coreloop::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (one, _other) = UnixStream::pair()?;
/// let peer = one.peer_cred()?;
/// println!("user {}, group {}, process {:?}", peer.uid(), peer.gid(), peer.pid());
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    uid: u32,
    gid: u32,
    pid: Option<i32>,
}

impl UCred {
    /// The effective user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process, where the system tells: Linux does, unless it is in a name
    /// space that this one cannot see.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}

/// Who is at the other end of any Unix socket. This is not for users, but for
/// `coreloop-process`, whose workers have no loop yet when they ask.
///
/// rustix would take a process of id 0, which there is in other name spaces, for a
/// number that cannot be zero.
///
/// # Errors
///
/// Returns the error of the system call.
#[doc(hidden)]
#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(
    unsafe_code,
    reason = "one call to libc: std, socket2 and rustix have none that bears the process id 0"
)]
pub fn peer_cred(socket: impl AsFd) -> io::Result<UCred> {
    use std::os::fd::AsRawFd;

    #[expect(clippy::cast_possible_truncation, reason = "it is a few bytes")]
    const LENGTH: libc::socklen_t = size_of::<libc::ucred>() as libc::socklen_t;

    let socket = socket.as_fd();
    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = LENGTH;
    // SAFETY: the descriptor is borrowed, so it is open. The kernel writes at most
    // `length` bytes, and the place has as many; whatever it writes makes three
    // integers. Nothing else refers to either variable meanwhile.
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
        return Err(io::Error::other("the credentials are of an unknown form"));
    }
    // The kernel reports these two for a socket without a peer. It reports a user that
    // has no id in this namespace by the number in `/proc/sys/kernel/overflowuid`, 65534.
    if credentials.pid == 0 && credentials.uid == libc::uid_t::MAX {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(UCred {
        uid: credentials.uid,
        gid: credentials.gid,
        pid: Some(credentials.pid).filter(|&pid| pid != 0),
    })
}

/// Who is at the other end of a Unix socket, as on Linux.
///
/// # Errors
///
/// Returns the error of the system call.
#[doc(hidden)]
#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
))]
#[expect(
    unsafe_code,
    reason = "one call to libc: neither std, nor socket2, nor rustix has it here"
)]
pub fn peer_cred(socket: impl AsFd) -> io::Result<UCred> {
    use std::os::fd::AsRawFd;

    let socket = socket.as_fd();
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: the descriptor is borrowed, so it is open. One id is written to each of
    // the two places, which are for that, and nothing else refers to them meanwhile.
    let answer = unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(UCred {
        uid,
        gid,
        pid: None,
    })
}

/// This system does not tell who is at the other end of a Unix socket.
///
/// # Errors
///
/// Always returns [`Unsupported`](io::ErrorKind::Unsupported).
#[doc(hidden)]
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
)))]
pub fn peer_cred(_: impl AsFd) -> io::Result<UCred> {
    Err(io::ErrorKind::Unsupported.into())
}
