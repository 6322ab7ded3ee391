//! [`UCred`]: the credentials of a peer.

use std::io;
use std::os::fd::AsFd;

use crate::sys;

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
    /// Returns the id of the effective user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the id of the effective group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Returns the id of the process if the system reports it: Linux does, unless the process
    /// is in a namespace that is invisible from here.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}

/// Returns the credentials of the process at the other end of any Unix socket.
///
/// This is not for users, but for `coreloop-process`, whose workers have no loop yet when
/// they call it.
///
/// # Errors
///
/// Returns an error if the system call fails.
#[doc(hidden)]
pub fn peer_cred(socket: impl AsFd) -> io::Result<UCred> {
    let sys::Credentials { uid, gid, pid } = sys::peer_credentials(socket)?;
    Ok(UCred { uid, gid, pid })
}
