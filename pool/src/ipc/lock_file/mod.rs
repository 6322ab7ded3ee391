//! [`LockFile`]: a lock between unrelated programs.
//!
//! # Invariants
//!
//! 1. Each holder and each wait has an open file description of its own, so the kernel keeps
//!    them apart, also within a process.
//! 2. A lock counts only if the path still leads to the file that was locked.
//! 3. At most one thread waits for each `LockFile`, however many waits were cancelled.

mod wait;

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use coreloop_runtime::time::timeout;
use coreloop_sync::{OwnedSemaphorePermit, Semaphore};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use crate::home::Home;
use wait::Wait;

/// The pauses between the attempts of a blocking wait with a limit.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// A lock between any programs on one machine, which is a file.
///
/// One program at a time holds the lock. The kernel releases it when the program ends, in
/// whatever way. The programs need not be related, nor use coreloop: the lock is one of flock(2),
/// which the command `flock`, `File::lock` in Rust and `fcntl.flock` in Python take too.
///
/// The file stays when the lock is released. Do not delete it.
///
/// A `LockFile` and its clones belong to one thread. Another thread opens the same path, and is
/// kept apart like another program.
///
/// A child that a program starts does not hold the lock, because the file is closed on `exec`. A
/// copy of the process by `fork` does, until the guard of the original is dropped or both have
/// ended.
///
/// # Waiting
///
/// A task waits with the help of a thread of the blocking pool, which the kernel wakes. Each
/// `LockFile` has at most one such thread. If the wait is cancelled, the thread continues to wait.
/// When it gets the lock, it passes the lock to the task that waits next, or releases it if no task
/// waits. Within one `LockFile` and its clones the waits are served in order. The kernel makes no
/// promise about the order of programs.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::LockFile;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// # let path = std::env::temp_dir().join(format!("coreloop-doc-{}", std::process::id()));
/// let lock = LockFile::open(&path)?;
/// let guard = lock.lock().await?;
/// // No other program that does the same comes here now.
/// assert!(LockFile::open(&path)?.try_lock()?.is_none());
/// drop(guard);
/// assert!(lock.try_lock()?.is_some());
/// # std::fs::remove_file(path)
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct LockFile(Rc<Inner>);

struct Inner {
    path: PathBuf,
    /// The permit of the task that holds the lock, or is the next to have it.
    turn: Rc<Semaphore>,
    /// A wait that was cancelled, whose thread still waits.
    cancelled: RefCell<Option<Wait>>,
}

impl LockFile {
    /// Opens a lock file, and creates the file if there is none. This does not take the lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can be neither opened nor created.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        drop(open(&path)?);
        Ok(Self(Rc::new(Inner {
            path,
            turn: Rc::new(Semaphore::new(1)),
            cancelled: RefCell::new(None),
        })))
    }

    /// Returns the path, which is absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Takes the lock if no program holds it, and no task waits for it with this `LockFile`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened, or if its file system has no locks.
    pub fn try_lock(&self) -> io::Result<Option<LockFileGuard>> {
        let Ok(turn) = Rc::clone(&self.0.turn).try_acquire_owned() else {
            return Ok(None);
        };
        try_lock(&self.0.path)?
            .map(|file| LockFileGuard::new(file, turn))
            .transpose()
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped gives its place up, and does not leave the lock
    /// taken.
    ///
    /// # Errors
    ///
    /// Returns an error if [`try_lock`](LockFile::try_lock) would, or if no thread can wait.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    pub async fn lock(&self) -> io::Result<LockFileGuard> {
        let turn = Rc::clone(&self.0.turn);
        let turn = turn.acquire_owned().await.map_err(io::Error::other)?;
        let file = match try_lock(&self.0.path)? {
            Some(file) => file,
            None => self.wait().await?,
        };
        LockFileGuard::new(file, turn)
    }

    /// Waits for the lock, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lock`](LockFile::lock).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lock`](LockFile::lock) would, or one of kind
    /// [`TimedOut`](ErrorKind::TimedOut) if the time has passed.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    pub async fn lock_timeout(&self, limit: Duration) -> io::Result<LockFileGuard> {
        match timeout(limit, self.lock()).await {
            Ok(result) => result,
            Err(_) => Err(late(&self.0.path)),
        }
    }

    /// Waits for the lock, and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`try_lock`](LockFile::try_lock) would, or one of kind
    /// [`Deadlock`](ErrorKind::Deadlock) if this `LockFile` or a clone of it holds the lock or
    /// waits for it. Clones are on the same thread, so the call would block it for ever.
    pub fn blocking_lock(&self) -> io::Result<LockFileGuard> {
        let turn = self.own_turn()?;
        let file = lock(&self.0.path)?;
        LockFileGuard::new(file, turn)
    }

    /// Waits for the lock, for `limit` at most, and blocks this thread meanwhile.
    ///
    /// The kernel has no such wait, so this tries again and again, and may get the lock some 50 ms
    /// after it was released, or never if other programs are faster each time.
    ///
    /// # Errors
    ///
    /// Returns an error if [`blocking_lock`](LockFile::blocking_lock) would, or one of kind
    /// [`TimedOut`](ErrorKind::TimedOut) if the time has passed.
    pub fn blocking_lock_timeout(&self, limit: Duration) -> io::Result<LockFileGuard> {
        let deadline = Instant::now().checked_add(limit);
        let turn = self.own_turn()?;
        let [mut pause, longest] = PAUSES;
        loop {
            if let Some(file) = try_lock(&self.0.path)? {
                return LockFileGuard::new(file, turn);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => return Err(late(&self.0.path)),
                left => thread::sleep(left.map_or(pause, |left| left.min(pause))),
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn own_turn(&self) -> io::Result<OwnedSemaphorePermit> {
        let turn = Rc::clone(&self.0.turn).try_acquire_owned();
        turn.map_err(|_| {
            let text = "this `LockFile` holds the lock or waits for it on this thread, which would \
                        block for ever";
            error_of(&self.0.path, ErrorKind::Deadlock, text)
        })
    }

    /// Has a thread wait for the lock, or continues the wait of a thread.
    async fn wait(&self) -> io::Result<File> {
        let kept = self.0.cancelled.take();
        let wait = match kept.filter(Wait::resume) {
            Some(wait) => wait,
            None => Wait::start(self.0.path.clone())?,
        };
        let waiting = Waiting {
            wait: Some(wait),
            inner: &self.0,
        };
        waiting.file().await
    }
}

impl fmt::Debug for LockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockFile").field(&self.0.path).finish()
    }
}

/// A task that waits. If it is cancelled, the wait of its thread is kept for the next task.
struct Waiting<'a> {
    wait: Option<Wait>,
    inner: &'a Inner,
}

impl Waiting<'_> {
    async fn file(mut self) -> io::Result<File> {
        let Some(wait) = &self.wait else {
            return Err(ErrorKind::Other.into());
        };
        let result = wait.result().await;
        self.wait = None;
        result
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(wait) = self.wait.take() {
            wait.cancel();
            let old = self.inner.cancelled.replace(Some(wait));
            drop(old);
        }
    }
}

/// Holds a [`LockFile`] until it is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockFileGuard {
    file: File,
    home: Home,
    /// Released after the file.
    _turn: OwnedSemaphorePermit,
}

impl LockFileGuard {
    /// Releases the lock if there is an error.
    fn new(file: File, turn: OwnedSemaphorePermit) -> io::Result<Self> {
        Ok(Self {
            home: Home::here()?,
            file,
            _turn: turn,
        })
    }

    /// Returns the locked file. What is in it is up to the programs that use it; some write
    /// their process id. It cannot be written if this program may only read it.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for LockFileGuard {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a copy of this process by `fork`. The copy in turn
        // must not release it.
        if self.home.is_here() {
            release(&self.file);
        }
    }
}

impl fmt::Debug for LockFileGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockFileGuard").field(&self.file).finish()
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let opened = options.open(path).or_else(|error| match error.kind() {
        // A lock needs no right to write.
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => File::open(path),
        _ => Err(error),
    });
    opened.map_err(|error| error_of(path, error.kind(), &error.to_string()))
}

fn try_lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open(path)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) if is_current(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(refused(path, error)),
        }
    }
}

/// Blocks this thread until the lock is taken.
fn lock(path: &Path) -> io::Result<File> {
    loop {
        let file = open(path)?;
        let locked = retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
        locked.map_err(|error| refused(path, error))?;
        if is_current(&file, path) {
            return Ok(file);
        }
    }
}

fn release(file: &File) {
    // It cannot fail for a file that is locked, and closing it releases the lock too.
    let _ = flock(file, FlockOperation::Unlock);
}

/// Returns whether a path leads to this file. Invariant 2.
fn is_current(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(own), Ok(now)) => (own.dev(), own.ino()) == (now.dev(), now.ino()),
        _ => false,
    }
}

fn refused(path: &Path, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    error_of(path, error.kind(), &error.to_string())
}

fn late(path: &Path) -> io::Error {
    error_of(path, ErrorKind::TimedOut, "the time limit has passed")
}

fn error_of(path: &Path, kind: ErrorKind, text: &str) -> io::Error {
    let text = format!("cannot lock the file {}: {text}", path.display());
    io::Error::new(kind, text)
}
