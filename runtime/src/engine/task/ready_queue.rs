//! The two lists that tasks are linked in by themselves: the ready and the live.
#![expect(
    unsafe_code,
    reason = "intrusive lists on the owner's thread; see the invariants of `task`"
)]

use std::cell::Cell;

use crate::engine::task::header::{Flags, Header};
use crate::engine::task::raw::RawTask;

/// A counted reference to a task, on the thread of the task's loop.
#[derive(Debug)]
pub(crate) struct TaskRef(RawTask);

impl TaskRef {
    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// The task is alive, and this is the thread of its loop.
    unsafe fn new(task: RawTask) -> TaskRef {
        // SAFETY: passed on to the caller.
        unsafe { task.header() }.state.acquire();
        TaskRef(task)
    }

    pub(crate) fn raw(&self) -> RawTask {
        self.0
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the reference keeps the task, and does not leave the loop's thread.
        unsafe { self.0.header() }
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: the reference was taken in `new`, and is not used again.
        unsafe { self.0.release() };
    }
}

/// Tasks to be run, first in, first out.
///
/// A task is in it exactly while `QUEUED` is set, which keeps it alive.
#[derive(Debug)]
pub(crate) struct ReadyQueue {
    head: Cell<Option<RawTask>>,
    tail: Cell<Option<RawTask>>,
}

impl ReadyQueue {
    pub(crate) const fn new() -> ReadyQueue {
        ReadyQueue {
            head: Cell::new(None),
            tail: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// The task that comes out next.
    pub(crate) fn first(&self) -> Option<TaskRef> {
        // SAFETY: it is in the queue, which keeps it.
        self.head.get().map(|task| unsafe { TaskRef::new(task) })
    }

    /// How many there are. Counts them.
    pub(crate) fn count(&self) -> usize {
        let mut count = 0;
        let mut next = self.head.get();
        while let Some(task) = next {
            count += 1;
            // SAFETY: it is in the queue, which keeps it.
            next = unsafe { task.header() }.ready_next.get();
        }
        count
    }

    /// Puts the task last.
    ///
    /// # Safety
    ///
    /// The caller, on the owner's thread, has just set `QUEUED`.
    #[inline]
    pub(crate) unsafe fn push(&self, task: RawTask) {
        // SAFETY: `QUEUED` keeps the task.
        unsafe { task.header() }.ready_next.set(None);
        match self.tail.replace(Some(task)) {
            // SAFETY: it is in the queue, which keeps it.
            Some(last) => unsafe { last.header() }.ready_next.set(Some(task)),
            None => self.head.set(Some(task)),
        }
    }

    /// Takes the first task out; the caller has to clear `QUEUED`.
    #[inline]
    pub(crate) fn pop(&self) -> Option<RawTask> {
        let task = self.head.get()?;
        // SAFETY: it is in the queue, which keeps it.
        let next = unsafe { task.header() }.ready_next.get();
        self.head.set(next);
        if next.is_none() {
            self.tail.set(None);
        }
        Some(task)
    }
}

/// The tasks that have not ended, the newest first. The future of each is in place, or the
/// outcome of a task that has cleanups to run.
///
/// A task is in it exactly while `LIVE` is set, which keeps it alive.
#[derive(Debug)]
pub(crate) struct OwnedTasks {
    first: Cell<Option<RawTask>>,
}

impl OwnedTasks {
    pub(crate) const fn new() -> OwnedTasks {
        OwnedTasks {
            first: Cell::new(None),
        }
    }

    /// The first task that is not running, if there is one.
    pub(crate) fn first_at_rest(&self) -> Option<RawTask> {
        let mut next = self.first.get();
        while let Some(task) = next {
            // SAFETY: it is in the list, which keeps it.
            let header = unsafe { task.header() };
            if !header.has(Flags::RUNNING) {
                return Some(task);
            }
            next = header.live_next.get();
        }
        None
    }

    /// All tasks, the newest first.
    pub(crate) fn all(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        let mut next = self.first.get();
        while let Some(task) = next {
            // SAFETY: it is in the list, which keeps it.
            let task = unsafe { TaskRef::new(task) };
            next = task.header().live_next.get();
            tasks.push(task);
        }
        tasks
    }

    /// Puts the task in.
    ///
    /// # Safety
    ///
    /// The caller, on the owner's thread, has just made the task.
    #[inline]
    pub(crate) unsafe fn insert(&self, task: RawTask) {
        let next = self.first.replace(Some(task));
        // SAFETY: `LIVE` keeps the task.
        unsafe { task.header() }.live_next.set(next);
        if let Some(next) = next {
            // SAFETY: it is in the list, which keeps it.
            unsafe { next.header() }.live_previous.set(Some(task));
        }
    }

    /// Takes the task out.
    ///
    /// # Safety
    ///
    /// The task is in this list, and the caller, on the owner's thread, is
    /// about to clear `LIVE`.
    #[inline]
    pub(crate) unsafe fn remove(&self, task: RawTask) {
        // SAFETY: it is in the list, which keeps it.
        let header = unsafe { task.header() };
        let previous = header.live_previous.take();
        let next = header.live_next.take();
        match previous {
            // SAFETY: likewise.
            Some(previous) => unsafe { previous.header() }.live_next.set(next),
            None => self.first.set(next),
        }
        if let Some(next) = next {
            // SAFETY: likewise.
            unsafe { next.header() }.live_previous.set(previous);
        }
    }
}
