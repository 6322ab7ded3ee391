//! The contract of [`sys`](super) on systems other than Linux: macOS, with
//! [`shm`](super::shm), and FreeBSD, with [`memfd`](super::memfd), for which the crate is
//! type-checked.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::mm::Advice;
use rustix::net::SendFlags;

/// These systems have no such advice.
pub(crate) const NOT_IN_COPIES: Option<Advice> = None;

/// FreeBSD can do it by another call, which rustix does not have.
pub(crate) const WIPED_IN_COPIES: Option<Advice> = None;

/// rustix has no such call for these systems.
pub(super) fn random_bytes() -> Option<[u8; 8]> {
    None
}

/// A read also ends before bytes with descriptors.
pub(crate) const READS_STOP_AFTER_DESCRIPTORS: bool = false;

/// Programs in Rust ignore `SIGPIPE`.
pub(crate) fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT
}

/// Packets in order, of which the senders learn when the receiver is closed.
#[cfg(target_os = "freebsd")]
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// macOS has no other packets than datagrams, which come in order between two sockets.
#[cfg(not(target_os = "freebsd"))]
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = std::os::unix::net::UnixDatagram::pair()?;
    Ok((one.into(), other.into()))
}

/// A datagram socket that is full has no buffers.
pub(crate) fn is_full(error: Errno) -> bool {
    error == Errno::AGAIN || error == Errno::NOBUFS
}

pub(crate) fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = UnixStream::pair()?;
    Ok((one.into(), other.into()))
}

/// These systems have no such score for each process.
pub(crate) fn raise_oom_score() {}

#[cfg(target_os = "freebsd")]
pub(super) use memory::{FUTURE_WRITE, allocate, allocated, memfd_flags};

#[cfg(target_os = "freebsd")]
mod memory {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::fs::{MemfdFlags, SealFlags};

    /// The system has no such seal.
    pub(in crate::sys) const FUTURE_WRITE: SealFlags = SealFlags::empty();

    pub(in crate::sys) fn memfd_flags() -> MemfdFlags {
        MemfdFlags::empty()
    }

    pub(in crate::sys) fn allocate(file: &OwnedFd, length: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(file, length)?)
    }

    /// The system does not say which part of a file has memory.
    #[expect(clippy::unnecessary_wraps, reason = "other systems ask the kernel")]
    pub(in crate::sys) fn allocated(_file: &OwnedFd, _size: u64) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}
