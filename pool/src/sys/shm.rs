//! The part of the contract of [`sys`](super) that is about memory, on systems without memfd and
//! seals, such as macOS: shared memory whose name is removed at once.

use std::io;
use std::iter::repeat_with;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags as FileFlags};
use rustix::io::Errno;
use rustix::shm::{self, OFlags};

use super::MemoryFile;

/// macOS allows 31 bytes.
const NAME: &str = "/coreloop-";

/// How many names are tried. A second one is needed only if another program has guessed the
/// first.
const ATTEMPTS: u32 = 16;

pub(crate) const HAS_FIXED_CONTENTS: bool = false;

/// The name exists only within this call. The library opens shared memory with `CLOEXEC`.
pub(crate) fn blank_memory(length: u64) -> io::Result<OwnedFd> {
    let mut error = Errno::EXIST;
    for _ in 0..ATTEMPTS {
        let letters = repeat_with(fastrand::alphanumeric).take(20);
        let name: String = NAME.chars().chain(letters).collect();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        match shm::open(name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => {
                shm::unlink(name.as_str())?;
                rustix::fs::ftruncate(&file, length)?;
                return Ok(file);
            }
            Err(Errno::EXIST) => {}
            Err(other) => {
                error = other;
                break;
            }
        }
    }
    Err(error.into())
}

/// A file in the folder for temporary files: shared memory cannot be written to. The name exists
/// only within this call.
pub(crate) fn message_file() -> io::Result<OwnedFd> {
    let mut error = Errno::EXIST;
    for _ in 0..ATTEMPTS {
        let letters: String = repeat_with(fastrand::alphanumeric).take(20).collect();
        let path = std::env::temp_dir().join(format!("coreloop-{letters}"));
        let flags = FileFlags::CREATE | FileFlags::EXCL | FileFlags::RDWR | FileFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => {
                rustix::fs::unlink(&path)?;
                return Ok(file);
            }
            Err(Errno::EXIST) => {}
            Err(other) => {
                error = other;
                break;
            }
        }
    }
    Err(error.into())
}

/// There are no seals. The size is constant because only programs of this library have the
/// descriptor, which never shrink the file, and because the file has no name by which another
/// program could. macOS sets the size of shared memory only once.
pub(crate) fn fix_size(_file: &OwnedFd) -> io::Result<()> {
    Ok(())
}

pub(crate) fn exclude_writers(_file: &OwnedFd) -> io::Result<()> {
    Ok(())
}

pub(crate) fn fix_contents(_file: &OwnedFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn inspect(file: &OwnedFd) -> io::Result<MemoryFile> {
    let stat = rustix::fs::fstat(file)?;
    Ok(MemoryFile {
        has_fixed_size: true,
        has_fixed_contents: false,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        // macOS rounds to pages.
        is_rounded: true,
        allocated: u64::MAX,
    })
}
