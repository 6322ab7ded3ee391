//! [`Wait`], a thread that waits for a lock file.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use coreloop_runtime::runtime::Handle;

use super::{lock, release};

/// The wait of a thread, which a task waits for or has cancelled.
pub(super) struct Wait(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// No task waits for the thread now.
    is_cancelled: bool,
    waker: Option<Waker>,
    /// What the thread has got. Dropped if the wait is cancelled.
    result: Option<io::Result<File>>,
    has_ended: bool,
}

impl Wait {
    /// Has a thread of the blocking pool wait for the lock.
    pub(super) fn start(path: PathBuf) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = Thread(Arc::clone(&shared));
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        drop(runtime.spawn_blocking(move || thread.finish(lock(&path))));
        Ok(Self(shared))
    }

    /// Cancels the wait. The thread waits on, and releases the lock when it gets it.
    pub(super) fn cancel(&self) {
        let (result, waker) = {
            let mut state = self.0.lock();
            state.is_cancelled = true;
            (state.result.take(), state.waker.take())
        };
        give_back(result);
        drop(waker);
    }

    /// Takes a cancelled wait up again. Returns false if its thread has ended.
    pub(super) fn resume(&self) -> bool {
        let mut state = self.0.lock();
        state.is_cancelled = false;
        !state.has_ended
    }

    /// Waits for the thread.
    pub(super) async fn result(&self) -> io::Result<File> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<File>> {
        let waker = cx.waker().clone();
        let (result, old) = {
            let mut state = self.0.lock();
            (state.result.take(), state.waker.replace(waker))
        };
        drop(old);
        result.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, result: io::Result<File>) {
        let (result, waker) = {
            let mut state = self.lock();
            if state.has_ended {
                return;
            }
            state.has_ended = true;
            if state.is_cancelled {
                (Some(result), None)
            } else {
                state.result = Some(result);
                (None, state.waker.take())
            }
        };
        give_back(result);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The side of the thread.
struct Thread(Arc<Shared>);

impl Thread {
    fn finish(self, result: io::Result<File>) {
        self.0.finish(result);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // Without effect if there is a result. Otherwise the pool had no thread, or was closed.
        let text = "no thread of the blocking pool could wait for the lock";
        self.0.finish(Err(io::Error::other(text)));
    }
}

fn give_back(result: Option<io::Result<File>>) {
    if let Some(Ok(file)) = result {
        release(&file);
    }
}
