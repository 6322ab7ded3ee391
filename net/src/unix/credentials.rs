//! [`UCred`]: who is at the other end.

use std::io;

use super::UnixStream;

/// The credentials of the process at the other end of a [`UnixStream`], as they
/// were when it connected, listened or made the pair.
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

/// rustix would take a process of id 0, which there is in other name spaces, for a
/// number that cannot be zero.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn of_peer(stream: &UnixStream) -> io::Result<UCred> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

    let credentials = getsockopt(stream, PeerCredentials)?;
    Ok(UCred {
        uid: credentials.uid(),
        gid: credentials.gid(),
        pid: Some(credentials.pid()).filter(|&pid| pid != 0),
    })
}

#[cfg(any(
    target_vendor = "apple",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
))]
pub(super) fn of_peer(stream: &UnixStream) -> io::Result<UCred> {
    let (uid, gid) = nix::unistd::getpeereid(stream)?;
    Ok(UCred {
        uid: uid.as_raw(),
        gid: gid.as_raw(),
        pid: None,
    })
}

#[cfg(not(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
)))]
pub(super) fn of_peer(_: &UnixStream) -> io::Result<UCred> {
    Err(io::ErrorKind::Unsupported.into())
}
