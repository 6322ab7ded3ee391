//! The contract of [`sys`](super) on Linux and Android.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The seals that keep the size of a file, and the seals themselves, from changing.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// How much sooner than its parent a worker is killed when memory runs out. The scale ends at
/// 1000.
const OOM_SCORE: i32 = 500;

const OOM_SCORE_FILE: &str = "/proc/self/oom_score_adj";

pub(crate) fn shared_memory(length: usize) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some machines refuse files in memory that could be executed. Before Linux 6.3, the
    // kernel does not know the flag.
    let file = match rustix::fs::memfd_create(c"coreloop-pool", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(c"coreloop-pool", flags),
        file => file,
    }?;
    // Unlike `ftruncate`, this allocates the memory. So a lack of memory is an error here, and
    // not a `SIGBUS` at an access to the mapping.
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, length as u64)?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

/// Checks the seals before the length, which could change after its check otherwise.
pub(crate) fn check_shared_memory(file: &OwnedFd, length: usize) -> io::Result<()> {
    let seals = rustix::fs::fcntl_get_seals(file)
        .map_err(|error| super::invalid(&format!("it is no file in memory: {error}")))?;
    if !seals.contains(SEALS) {
        return Err(super::invalid("its size is not sealed"));
    }
    super::check_length(file, length)
}

/// Bytes without descriptors are returned together with the ones after them.
pub(crate) const READS_STOP_AFTER_DESCRIPTORS: bool = true;

pub(crate) fn receive_flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

/// Does nothing: the flag of the receive has the descriptor closed on `exec`.
pub(crate) fn close_on_exec(_received: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// Returns `false`: the read returns the bytes and a flag.
pub(crate) fn is_lack_of_room(_error: Errno) -> bool {
    false
}

pub(crate) fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT | SendFlags::NOSIGNAL
}

pub(crate) fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// A process may always raise its own score. Without `/proc`, the score stays as it is.
pub(crate) fn raise_oom_score() {
    let now = fs::read_to_string(OOM_SCORE_FILE).ok();
    let now: Option<i32> = now.and_then(|score| score.trim().parse().ok());
    if let Some(now) = now {
        let raised = now.saturating_add(OOM_SCORE).min(1000);
        let _ = fs::write(OOM_SCORE_FILE, raised.to_string());
    }
}

#[cfg(test)]
#[cfg(not(miri))] // Miri has no files in memory.
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn unsealed(length: u64) -> OwnedFd {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(c"test", flags).unwrap();
        rustix::fs::ftruncate(&file, length).unwrap();
        file
    }

    fn refusal(file: &OwnedFd) -> String {
        check_shared_memory(file, 4096).unwrap_err().to_string()
    }

    #[test]
    fn the_size_of_shared_memory_is_fixed() {
        let file = shared_memory(4096).unwrap();
        // In units of 512 bytes: the memory is there before the first access.
        assert!(rustix::fs::fstat(&file).unwrap().st_blocks >= 8);
        check_shared_memory(&file, 4096).unwrap();
        for length in [0, 4095, 8192] {
            assert_eq!(rustix::fs::ftruncate(&file, length), Err(Errno::PERM));
        }
        let more = rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE);
        assert_eq!(more, Err(Errno::PERM));
        let flags = rustix::io::fcntl_getfd(file.as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_file_that_could_shrink_is_refused_whatever_its_length() {
        assert!(refusal(&unsealed(4096)).contains("not sealed"));
        assert!(refusal(&unsealed(1 << 20)).contains("not sealed"));
        let partly = unsealed(4096);
        rustix::fs::fcntl_add_seals(&partly, SealFlags::SHRINK | SealFlags::GROW).unwrap();
        assert!(refusal(&partly).contains("not sealed"));
    }

    #[test]
    fn a_short_file_is_refused() {
        let short = shared_memory(4095).unwrap();
        assert!(
            refusal(&short).contains("4095 bytes"),
            "{}",
            refusal(&short)
        );
    }
}
