//! The standard input, which one thread of the process reads when it is asked to.
//!
//! ```text
//!   Stdin::poll_read ── wants ──> the thread: reads once
//!        ^                              │
//!        └──── bytes, wakers <──────────┘
//! ```
//!
//! The next future that polls gets what the thread has read, on any loop. So nothing is lost when
//! a read is dropped, and no runtime waits for a thread that may wait for ever.
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
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use coreloop_runtime::task::coop;
use futures_io::AsyncRead;

/// The most that is read at once.
const MOST: usize = 64 << 10;

static STATE: Mutex<State> = Mutex::new(State {
    bytes: Vec::new(),
    taken: 0,
    end: None,
    wanted: None,
    has_thread: false,
    handles: 0,
    waiting: BTreeMap::new(),
});

/// Whether something is wanted.
static WANTED: Condvar = Condvar::new();

struct State {
    /// What was read, of which `taken` bytes have been given out.
    bytes: Vec<u8>,
    taken: usize,
    /// A read that gave no bytes: the end, or an error.
    end: Option<io::Result<()>>,
    /// How many bytes the thread is to read at most.
    wanted: Option<usize>,
    has_thread: bool,
    /// How many handles were made.
    handles: u64,
    /// The tasks that wait, by the numbers of their handles.
    waiting: BTreeMap<u64, Waker>,
}

impl State {
    /// Takes what was read.
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
/// It is read by a thread of the process, one read at a time, and only when a task waits
/// for it. Unlike one in an [`Async`](super::super::Async) it is not made non-blocking,
/// which a terminal or pipe would be for all processes that share it.
///
/// What is read goes through the buffer of [`std::io::stdin`], and all handles have the
/// same bytes between them: each byte is read by one of them. A task that waits has the
/// thread wait, which holds the lock of `std::io::stdin` meanwhile. The wait cannot be
/// stopped, so a byte that comes when the task has given up is kept for the next read of a
/// `Stdin`; but code that uses `std::io::stdin`, and children, do not see it. Neither the
/// shutdown of a runtime nor the end of `main` waits for the thread.
///
/// For lines, keep one [`BufReader`](super::super::BufReader) for as long as there is
/// something to read: what it has read ahead goes with it.
///
/// # Cancel safety
///
/// Cancel safe: a read that is dropped has lost nothing.
///
/// # Errors
///
/// If the system call fails, or the thread cannot be started.
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

/// The standard input of the process.
///
/// It may be made anywhere and polled by any executor.
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
        // Before the lock, as it is others' code.
        let waker = cx.waker().clone();
        let mut state = lock();
        if let Some(read) = state.take(buffer) {
            drop(state);
            return Poll::Ready(read);
        }
        if !state.has_thread {
            // It waits for the lock.
            let reader = thread::Builder::new().name("coreloop-stdin".to_owned());
            reader.spawn(read_when_wanted)?;
            state.has_thread = true;
        }
        let wanted = state.wanted.unwrap_or(0).max(buffer.len().min(MOST));
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

/// The life of the thread.
fn read_when_wanted() {
    let mut room = Vec::new();
    let mut state = lock();
    loop {
        let Some(wanted) = state.wanted else {
            state = WANTED.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        room.resize(wanted, 0);
        let read = read(&mut room);
        state = lock();
        state.wanted = None;
        match read {
            Ok(count @ 1..) => {
                room.truncate(count);
                mem::swap(&mut state.bytes, &mut room);
                state.taken = 0;
            }
            Ok(_) => state.end = Some(Ok(())),
            Err(error) => state.end = Some(Err(error)),
        }
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting.into_values() {
            // The panic hook reports it.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
        state = lock();
    }
}

fn read(room: &mut [u8]) -> io::Result<usize> {
    loop {
        match io::stdin().read(room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Nothing panics while it is locked.
fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
