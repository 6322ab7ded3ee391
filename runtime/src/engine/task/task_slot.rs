//! [`TaskSlot`]: a place that remembers which task to wake.
#![expect(
    unsafe_code,
    reason = "recognises wakers of tasks and owns a reference; see the invariants of `task`"
)]

use std::cell::Cell;
use std::fmt;
use std::task::Waker;

use crate::engine::task::header::Flags;
use crate::engine::task::raw::RawTask;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::waker;

/// A place for a reference to the task that waits for something of a loop, such as a socket.
///
/// For wakers of coreloop's tasks it replaces a waker cell, with a third of the instructions:
/// one comparison finds that the same task waits again, and to wake a task of the running
/// loop is a push on the ready queue. None of this runs user code.
#[derive(Default)]
pub(crate) struct TaskSlot {
    /// The task, with a reference that the slot owns.
    task: Cell<Option<RawTask>>,
}

impl TaskSlot {
    /// Registers the task that `waker` wakes. Returns false for a waker that is not of a task.
    #[inline]
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        let Some(task) = waker::recognise(waker) else {
            return false;
        };
        if self.task.get() != Some(task) {
            self.replace(task);
        }
        true
    }

    #[cold]
    fn replace(&self, task: RawTask) {
        // SAFETY: the waker from which the task was recognised keeps it.
        unsafe { task.header() }.state.acquire();
        if let Some(before) = self.task.replace(Some(task)) {
            // SAFETY: the slot's reference, which is not used again.
            unsafe { before.release() };
        }
    }

    /// Returns whether the registered task is the one that `waker` wakes.
    #[inline]
    pub(crate) fn is(&self, waker: &Waker) -> bool {
        self.task.get().is_some() && self.task.get() == waker::recognise(waker)
    }

    /// Wakes the task, if one is registered. It stays registered, unless it is a finished task
    /// of `tasks`.
    ///
    /// `tasks` is the running scheduler; the task may belong to another loop.
    #[inline]
    pub(crate) fn wake(&self, tasks: &Scheduler) {
        let Some(task) = self.task.get() else {
            return;
        };
        // SAFETY: the slot's reference keeps the task, and any thread may read `remote`.
        let header = unsafe { task.header() };
        if !tasks.owns(header.remote) {
            // SAFETY: likewise.
            unsafe { waker::notify(task, false) };
        } else if header.has(Flags::LIVE) {
            // SAFETY: likewise, and this is the owner's thread.
            unsafe { tasks.make_ready(task, false) };
        } else {
            self.forget();
        }
    }

    /// Empties the slot.
    #[cold]
    fn forget(&self) {
        drop(Self {
            task: Cell::new(self.task.take()),
        });
    }
}

impl Drop for TaskSlot {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            // SAFETY: the slot's reference, which is not used again.
            unsafe { task.release() };
        }
    }
}

impl fmt::Debug for TaskSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSlot").finish_non_exhaustive()
    }
}
