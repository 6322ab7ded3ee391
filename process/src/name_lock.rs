//! [`NameLock`]: of several processes that want a socket at one name, one at a time
//! looks at what is there, and puts its own in its place.
//!
//! Without it, two that found a socket there to which nobody listens would both replace
//! it, and one of them would listen where nobody finds it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

/// It is held for a moment. Who holds it longer is none of ours, and not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A lock on the directory of a name, as long as this lives. There is none where
/// directories cannot be locked.
#[derive(Debug)]
pub(crate) struct NameLock {
    #[expect(dead_code, reason = "closing it unlocks")]
    directory: Option<OwnedFd>,
}

impl NameLock {
    /// Waits for others on this thread.
    pub(crate) fn of(path: &Path) -> NameLock {
        NameLock {
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
            Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(Errno::INTR) => {}
            locked => return locked.map(|()| directory).map_err(io::Error::from),
        }
    }
}
