//! The contract of [`sys`](super) on systems other than Linux: macOS and FreeBSD, for which
//! the crate is type-checked.

use std::io;
use std::iter::repeat_with;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags};
use rustix::net::{RecvFlags, SendFlags};
use rustix::shm::{self, OFlags};

/// macOS allows 31 bytes.
const NAME: &str = "/coreloop-";

/// How many names are tried. A second one is needed only if another program has guessed the
/// first.
const ATTEMPTS: u32 = 16;

/// The name exists only within this call. The library opens shared memory with `CLOEXEC`.
pub(crate) fn shared_memory(length: usize) -> io::Result<OwnedFd> {
    let mut error = Errno::EXIST;
    for _ in 0..ATTEMPTS {
        let letters = repeat_with(fastrand::alphanumeric).take(20);
        let name: String = NAME.chars().chain(letters).collect();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        match shm::open(name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => {
                shm::unlink(name.as_str())?;
                rustix::fs::ftruncate(&file, length as u64)?;
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

/// There are no seals. The descriptor comes from the master, which never shrinks the file,
/// and the file has no name by which another program could.
pub(crate) fn check_shared_memory(file: &OwnedFd, length: usize) -> io::Result<()> {
    super::check_length(file, length)
}

/// A read also ends before bytes with descriptors.
pub(crate) const READS_STOP_AFTER_DESCRIPTORS: bool = false;

pub(crate) fn receive_flags() -> RecvFlags {
    RecvFlags::empty()
}

pub(crate) fn close_on_exec(received: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(received, FdFlags::CLOEXEC)?)
}

pub(crate) fn is_lack_of_room(error: Errno) -> bool {
    error == Errno::MSGSIZE || error == Errno::MFILE
}

/// Programs in Rust ignore `SIGPIPE`.
pub(crate) fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT
}

pub(crate) fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = UnixStream::pair()?;
    Ok((one.into(), other.into()))
}

/// These systems have no such score for each process.
pub(crate) fn raise_oom_score() {}
