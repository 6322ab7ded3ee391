//! The part of the contract of [`sys`](super) that is about memory, on systems with memfd and
//! seals: Linux, Android and FreeBSD.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::MemoryFile;
use super::system::{FUTURE_WRITE, allocate, allocated, memfd_flags};

/// The seals that keep the size of a file, and the seals themselves, from changing.
const SIZE: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// The seals that keep the contents from changing too. `FUTURE_WRITE` would not be enough: the
/// kernel grants it while there are writable mappings, through which their owners continue to
/// write.
const CONTENTS: SealFlags = SIZE.union(SealFlags::WRITE);

pub(crate) const HAS_FIXED_CONTENTS: bool = true;

/// Allocates the memory where the system can: a lack of memory is an error here, and not a
/// `SIGBUS` at an access to a mapping.
pub(crate) fn blank_memory(length: u64) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some machines refuse files in memory that could be executed. A kernel that does not know
    // these flags refuses them.
    let file = match rustix::fs::memfd_create(c"coreloop", flags | memfd_flags()) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(c"coreloop", flags),
        file => file,
    }?;
    if length > 0 {
        allocate(&file, length)?;
    }
    Ok(file)
}

/// A file in memory.
pub(crate) fn message_file() -> io::Result<OwnedFd> {
    blank_memory(0)
}

pub(crate) fn fix_size(file: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, SIZE)?)
}

/// The file can still be sealed by [`fix_contents`]. A kernel that does not know the seal for writers
/// refuses it.
pub(crate) fn exclude_writers(file: &OwnedFd) -> io::Result<()> {
    let size = SealFlags::SHRINK | SealFlags::GROW;
    match rustix::fs::fcntl_add_seals(file, size | FUTURE_WRITE) {
        Err(Errno::INVAL) => Ok(rustix::fs::fcntl_add_seals(file, size)?),
        sealed => Ok(sealed?),
    }
}

/// Fails with `EBUSY` if there is a writable mapping of the file.
pub(crate) fn fix_contents(file: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, CONTENTS)?)
}

/// Reads the seals before the size, which could change after it was read otherwise. A file that
/// cannot be sealed has no seals, whatever the kernel says about it, and is asked for nothing more:
/// the size of a file of FUSE comes from a process, which could let this one wait.
pub(crate) fn inspect(file: &OwnedFd) -> io::Result<MemoryFile> {
    let seals = match rustix::fs::fcntl_get_seals(file) {
        Ok(seals) => seals,
        Err(Errno::INVAL) => {
            return Ok(MemoryFile {
                has_fixed_size: false,
                has_fixed_contents: false,
                size: 0,
                is_rounded: false,
                allocated: 0,
            });
        }
        Err(error) => return Err(error.into()),
    };
    let has_fixed_contents = seals.contains(CONTENTS);
    let size = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
    Ok(MemoryFile {
        has_fixed_size: seals.contains(SIZE),
        has_fixed_contents,
        size,
        is_rounded: false,
        allocated: match has_fixed_contents {
            true => allocated(file, size)?,
            false => 0,
        },
    })
}

#[cfg(test)]
#[cfg(not(miri))] // Miri has no files in memory.
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn memory_is_allocated_and_closed_on_exec() {
        let file = blank_memory(4096).unwrap();
        fix_contents(&file).unwrap();
        assert_eq!(inspect(&file).unwrap().allocated, 4096);
        let flags = rustix::io::fcntl_getfd(file.as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_fixed_size_stays_as_it_is() {
        let file = blank_memory(1000).unwrap();
        assert!(!inspect(&file).unwrap().has_fixed_size);
        fix_size(&file).unwrap();
        let found = inspect(&file).unwrap();
        assert!(found.has_fixed_size && !found.has_fixed_contents && found.size == 1000);
        for length in [0, 999, 8192] {
            assert_eq!(rustix::fs::ftruncate(&file, length), Err(Errno::PERM));
        }
        let more = rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE);
        assert_eq!(more, Err(Errno::PERM));
    }

    #[test]
    fn only_all_seals_together_count() {
        let each = [
            SealFlags::SHRINK,
            SealFlags::GROW,
            SealFlags::SEAL,
            SealFlags::WRITE,
            SealFlags::FUTURE_WRITE,
        ];
        for set in 0..1 << each.len() {
            let seals = (0..each.len()).filter(|bit| set >> bit & 1 == 1);
            let seals: SealFlags = seals.map(|bit| each[bit]).collect();
            let file = blank_memory(100).unwrap();
            rustix::fs::fcntl_add_seals(&file, seals).unwrap();
            let found = inspect(&file).unwrap();
            assert_eq!(found.has_fixed_size, set & 0b111 == 0b111, "{seals:?}");
            assert_eq!(
                found.has_fixed_contents,
                set & 0b1111 == 0b1111,
                "{seals:?}"
            );
        }
    }

    #[test]
    fn other_files_have_no_seals() {
        let plain = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let unsealable = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap();
        for file in [plain.into(), socket.into(), unsealable] {
            let found = inspect(&file).unwrap();
            assert!(!found.has_fixed_size && !found.has_fixed_contents);
        }
    }
}
