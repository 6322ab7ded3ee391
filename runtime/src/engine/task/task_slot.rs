//! A task that waits, remembered by its pointer.
#![expect(
    unsafe_code,
    reason = "recognises wakers of ours and owns a reference; see the invariants of `task`"
)]

use std::cell::Cell;
use std::fmt;
use std::task::Waker;

use crate::engine::task::header::Flags;
use crate::engine::task::raw::RawTask;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::waker;

/// The task that waits for something of a loop, a socket for instance.
///
/// It does for wakers of coreloop what a cell with a waker does, in a third of
/// the instructions: that it wakes the same task again is one comparison, and
/// waking it, on the loop that it belongs to, is a push on the ready queue. No
/// code of the user's runs in any of it.
#[derive(Default)]
pub(crate) struct TaskSlot {
    /// Owns a reference.
    task: Cell<Option<RawTask>>,
}

impl TaskSlot {
    /// Notes the task that `waker` wakes; false if it is not a waker of ours.
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
        // SAFETY: the waker that the task was recognised by keeps it.
        unsafe { task.header() }.state.acquire();
        if let Some(before) = self.task.replace(Some(task)) {
            // SAFETY: the reference that was owned.
            unsafe { before.release() };
        }
    }

    /// Whether the task that `waker` wakes is noted.
    #[inline]
    pub(crate) fn is(&self, waker: &Waker) -> bool {
        self.task.get().is_some() && self.task.get() == waker::recognise(waker)
    }

    /// Wakes the task, if one was noted. It stays noted, unless it has finished.
    ///
    /// `tasks` is that of the loop that runs on this thread; the task may be
    /// another's.
    #[inline]
    pub(crate) fn wake(&self, tasks: &Scheduler) {
        let Some(task) = self.task.get() else {
            return;
        };
        // SAFETY: the reference keeps the task; `remote` never changes.
        let header = unsafe { task.header() };
        if !tasks.owns(header.remote) {
            // SAFETY: likewise.
            unsafe { waker::notify(task, false) };
        } else if header.has(Flags::LIVE) {
            // SAFETY: likewise, and `tasks` is on its owner's thread.
            unsafe { tasks.make_ready(task, false) };
        } else {
            self.forget();
        }
    }

    /// Gives the reference to a task back that has finished.
    #[cold]
    fn forget(&self) {
        drop(TaskSlot {
            task: Cell::new(self.task.take()),
        });
    }
}

impl Drop for TaskSlot {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            // SAFETY: the reference that was owned.
            unsafe { task.release() };
        }
    }
}

impl fmt::Debug for TaskSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSlot").finish_non_exhaustive()
    }
}
