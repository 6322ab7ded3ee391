//! The contract of [`sys`](super) on Linux and Android, with [`memfd`](super::memfd).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::Advice;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::rand::GetRandomFlags;

/// How much sooner than its parent a worker is killed when memory runs out. The scale ends at
/// 1000.
const OOM_SCORE: i32 = 500;

const OOM_SCORE_FILE: &str = "/proc/self/oom_score_adj";

/// From this size on, a new file must fit into the memory that the system has left. The kernel
/// would not refuse it: it would allocate page after page, and then kill processes.
const LARGE: u64 = 16 << 20;

/// How much is allocated by one call. A signal interrupts a call, and the kernel may free again what
/// this has allocated. With a timer whose signals come often, a long call would never succeed.
const PIECE: u64 = 4 << 20;

pub(crate) const NOT_IN_COPIES: Option<Advice> = Some(Advice::LinuxDontFork);

/// Linux has the advice since 4.14.
pub(crate) const WIPED_IN_COPIES: Option<Advice> = Some(Advice::LinuxWipeOnFork);

/// Linux has the seal since 5.1.
pub(super) const FUTURE_WRITE: SealFlags = SealFlags::FUTURE_WRITE;

/// Linux has the flag since 6.3.
pub(super) fn memfd_flags() -> MemfdFlags {
    MemfdFlags::NOEXEC_SEAL
}

/// Asks the kernel for random bytes. It has none for a moment after the start of the system, and
/// then this does not wait.
pub(super) fn random_bytes() -> Option<[u8; 8]> {
    let mut bytes = [0; 8];
    let count = rustix::rand::getrandom(&mut bytes[..], GetRandomFlags::NONBLOCK);
    (count == Ok(bytes.len())).then_some(bytes)
}

/// Gives a new file its size. Unlike `ftruncate`, this allocates the memory.
pub(super) fn allocate(file: &OwnedFd, length: u64) -> io::Result<()> {
    if length >= LARGE && available().is_some_and(|available| length > available) {
        return Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!("the system has no {length} bytes of memory left"),
        ));
    }
    let mut start = 0;
    while start < length {
        let piece = PIECE.min(length - start);
        rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(file, FallocateFlags::empty(), start, piece)
        })?;
        start += piece;
    }
    Ok(())
}

/// Returns how many bytes of memory the system has left, if that is known.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    let free = kilobytes("MemAvailable:")? + kilobytes("SwapFree:").unwrap_or(0);
    free.checked_mul(1024)
}

/// Returns how many bytes of a file have memory, whose size is constant. It is none if the
/// descriptor only reads.
///
/// The kernel counts the memory behind the end of a file too, which would hide a hole of the same
/// size. So this frees it, by setting the size to what it is. That changes nothing else, and there
/// is no such memory afterwards: a file whose size is constant gets none. It takes 2 to 3
/// microseconds, and searching 64 MiB for a hole takes 1000.
pub(super) fn allocated(file: &OwnedFd, size: u64) -> io::Result<u64> {
    if rustix::fs::ftruncate(file, size).is_err() {
        return Ok(0);
    }
    let blocks = rustix::fs::fstat(file)?.st_blocks;
    Ok(u64::try_from(blocks).unwrap_or(0).saturating_mul(512))
}

/// Bytes without descriptors are returned together with the ones after them.
pub(crate) const READS_STOP_AFTER_DESCRIPTORS: bool = true;

pub(crate) fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT | SendFlags::NOSIGNAL
}

pub(crate) fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::STREAM)
}

pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair(SocketType::SEQPACKET)
}

fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        kind,
        flags,
        None,
    )?)
}

pub(crate) fn is_full(error: Errno) -> bool {
    error == Errno::AGAIN
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
    use super::*;

    #[test]
    fn each_piece_is_allocated() {
        for length in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5000] {
            let file = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap();
            allocate(&file, length).unwrap();
            let size = rustix::fs::fstat(&file).unwrap().st_size;
            assert_eq!(u64::try_from(size), Ok(length));
            assert!(allocated(&file, length).unwrap() >= length);
        }
    }

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        let available = available().unwrap();
        assert!(available > LARGE);
        for length in [available * 2, 1 << 62] {
            let file = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap();
            let error = allocate(&file, length).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
            assert_eq!(rustix::fs::fstat(&file).unwrap().st_blocks, 0);
        }
    }
}
