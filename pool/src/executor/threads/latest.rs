//! [`Latest`], the latest value that a job on a thread has sent as its progress.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::job::context::{self, Sink};
use crate::job::encoded::{Encoded, Kept};
use crate::panics;

/// The value that a job has last sent by `job::progress`.
#[derive(Default)]
pub(crate) struct Latest(Mutex<State>);

#[derive(Default)]
struct State {
    value: Option<Arc<Kept>>,
    /// The number of values that were sent.
    version: u64,
    /// Whether the job sends no more.
    is_closed: bool,
    /// The tasks that wait for the next value, with the numbers of their readers.
    waiting: Vec<(u64, Waker)>,
    readers: u64,
}

/// Reads the progress of a job.
pub(crate) struct Reader {
    latest: Arc<Latest>,
    number: u64,
    /// The version that was returned last.
    seen: u64,
}

/// Closes the progress of a job when it is dropped, with the closure of the job.
pub(super) struct Closing(pub(super) Arc<Latest>);

impl Latest {
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.lock();
        state.readers += 1;
        Reader {
            number: state.readers,
            seen: 0,
            latest: Arc::clone(self),
        }
    }

    /// Changes the state, and wakes the tasks that wait.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.lock();
            change(&mut state);
            mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            // A panic of a waker must not fail the job, which runs on this thread.
            panics::caught(|| waker.wake());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Latest {
    fn send(&self, _: &context::Context, value: Encoded) -> io::Result<()> {
        let value = Arc::new(Kept::from(value));
        let mut before = None;
        self.change(|state| {
            before = state.value.replace(value);
            state.version += 1;
        });
        // The descriptors in it are closed outside the lock.
        drop(before);
        Ok(())
    }
}

impl Reader {
    pub(crate) fn latest(&self) -> Option<Arc<Kept>> {
        self.latest.lock().value.clone()
    }

    /// Polls for a value that this method has not returned before. Returns `None` if the job
    /// sends no more values.
    pub(crate) fn poll_changed(&mut self, cx: &Context<'_>) -> Poll<Option<Arc<Kept>>> {
        // Cloning a waker runs its code.
        let waker = cx.waker().clone();
        let mut state = self.latest.lock();
        if state.version > self.seen {
            self.seen = state.version;
            return Poll::Ready(state.value.clone());
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        let before = state.take_waker(self.number);
        state.waiting.push((self.number, waker));
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl State {
    fn take_waker(&mut self, reader: u64) -> Option<Waker> {
        let position = self.waiting.iter().position(|(of, _)| *of == reader)?;
        Some(self.waiting.swap_remove(position).1)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let waker = self.latest.lock().take_waker(self.number);
        drop(waker);
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.change(|state| state.is_closed = true);
    }
}
