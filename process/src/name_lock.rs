//! [`NameLock`] lets one process at a time check what is at a socket's path and put its
//! own socket there.
//!
//! Without it, two processes that found a socket to which no process listens would both
//! replace it, and one of them would listen at a socket that has no name any more.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

/// How long to wait for the lock. This crate holds it for a moment only; a process that
/// holds it longer is another program's, and is not waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// A lock on the directory of a path, until this is dropped. Without effect where
/// directories cannot be locked.
#[derive(Debug)]
pub(crate) struct NameLock {
    #[expect(dead_code, reason = "closing it unlocks")]
    directory: Option<OwnedFd>,
}

impl NameLock {
    /// Takes the lock, and blocks this thread while another process holds it.
    pub(crate) fn of(path: &Path) -> Self {
        Self {
            directory: lock(path).ok(),
        }
    }
}

fn lock(path: &Path) -> io::Result<OwnedFd> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(directory, flags, Mode::empty())?;
    let start = Instant::now();
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if start.elapsed() < LOCK_TIMEOUT => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(Errno::INTR) => {}
            locked => return locked.map(|()| directory).map_err(io::Error::from),
        }
    }
}
