//! The standard input, which one thread of the process reads when a task waits for it.
//!
//! ```text
//!   Stdin::poll_read ── wants ──> the thread: reads once
//!        ^                              │
//!        └──── bytes, wakers <──────────┘
//! ```
//!
//! The next future that polls takes the bytes that the thread has read, on any loop. So no
//! bytes are lost when a read is dropped, and no runtime waits for a thread that may wait
//! forever.
//!
//! # Invariants
//!
//! 1. The thread reads only while `wanted` is set, and clears it when it has read.
//! 2. No user code runs while the state is locked.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use coreloop_runtime::__panics::caught;
use coreloop_runtime::task::coop;
use futures_io::AsyncRead;

/// The maximum number of bytes for one read.
const MAX_READ: usize = 64 << 10;

static STDIN: Mutex<StdinState> = Mutex::new(StdinState {
    bytes: Vec::new(),
    taken: 0,
    end: None,
    wanted: None,
    has_thread: false,
    handles: 0,
    waiting: BTreeMap::new(),
});

/// Notified when `wanted` is set.
static WANTED: Condvar = Condvar::new();

struct StdinState {
    /// The bytes that were read, of which tasks have taken the first `taken`.
    bytes: Vec<u8>,
    taken: usize,
    /// The outcome of a read that returned no bytes: the end, or an error.
    end: Option<io::Result<()>>,
    /// The maximum number of bytes that the thread should read.
    wanted: Option<usize>,
    has_thread: bool,
    /// How many handles were created.
    handles: u64,
    /// The wakers of the tasks that wait, by the numbers of their handles.
    waiting: BTreeMap<u64, Waker>,
}

impl StdinState {
    /// Takes bytes that were read, or the outcome of a read without bytes.
    fn take(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        let left = &self.bytes[self.taken..];
        if left.is_empty() {
            return self.end.take().map(|end| end.map(|()| 0));
        }
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Some(Ok(count))
    }
}

/// The standard input of the process.
///
/// A thread of the process reads it, one read at a time, and only when a task waits for it.
/// Unlike in an [`Async`](super::super::Async) it does not become non-blocking, which would
/// affect all processes that share the terminal or pipe.
///
/// The bytes go through the buffer of [`std::io::stdin`], and all handles share them: each
/// byte is read by one handle. While a task waits, the thread holds the lock of
/// `std::io::stdin`. A read of the thread cannot be cancelled: bytes that arrive when the task
/// no longer waits are kept for the next read of a `Stdin`, but code that uses
/// `std::io::stdin`, and child processes, do not see them. Neither the shutdown of a runtime
/// nor the end of `main` waits for the thread.
///
/// To read lines, keep one [`BufReader`](super::super::BufReader) as long as there are lines
/// to read: the bytes that it has read ahead are lost with it.
///
/// # Cancel safety
///
/// Cancel safe: a read that is dropped loses no bytes.
///
/// # Errors
///
/// A read returns an error if the system call fails, or the thread cannot be started.
///
/// # Examples
///
/// ```no_run
/// use coreloop::io::{AsyncBufReadExt, BufReader, stdin};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut input = BufReader::new(stdin());
/// let mut line = String::new();
/// while input.read_line(&mut line).await? > 0 {
///     print!("you said: {line}");
///     line.clear();
/// }
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Stdin {
    number: u64,
    std: io::Stdin,
}

/// Returns a handle to the standard input of the process.
///
/// It may be created anywhere and polled by any executor.
#[must_use]
pub fn stdin() -> Stdin {
    let mut state = lock();
    state.handles += 1;
    Stdin {
        number: state.handles,
        std: io::stdin(),
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(coop::poll_proceed(cx));
        // Before the lock, because cloning a waker runs user code.
        let waker = cx.waker().clone();
        let mut state = lock();
        if let Some(read) = state.take(buffer) {
            drop(state);
            return Poll::Ready(read);
        }
        if !state.has_thread {
            // The thread first waits for the lock.
            let reader = thread::Builder::new().name("coreloop-stdin".to_owned());
            reader.spawn(read_when_wanted)?;
            state.has_thread = true;
        }
        let wanted = state.wanted.unwrap_or(0).max(buffer.len().min(MAX_READ));
        state.wanted = Some(wanted);
        let before = state.waiting.insert(self.number, waker);
        drop(state);
        WANTED.notify_one();
        drop(before);
        Poll::Pending
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        let waker = lock().waiting.remove(&self.number);
        drop(waker);
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

/// Runs on the thread: reads whenever a task waits.
fn read_when_wanted() {
    let mut buffer = Vec::new();
    let mut state = lock();
    loop {
        let Some(wanted) = state.wanted else {
            state = WANTED.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        buffer.resize(wanted, 0);
        let read = read(&mut buffer);
        state = lock();
        state.wanted = None;
        match read {
            Ok(count @ 1..) => {
                buffer.truncate(count);
                mem::swap(&mut state.bytes, &mut buffer);
                state.taken = 0;
            }
            Ok(_) => state.end = Some(Ok(())),
            Err(error) => state.end = Some(Err(error)),
        }
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting.into_values() {
            // The panic hook reports a panic.
            caught(|| waker.wake());
        }
        state = lock();
    }
}

fn read(buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match io::stdin().read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Locks the state. A poisoned lock is sound, because nothing panics while it is held.
fn lock() -> MutexGuard<'static, StdinState> {
    STDIN.lock().unwrap_or_else(PoisonError::into_inner)
}
