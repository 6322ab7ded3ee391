//! The two intrusive lists of a loop: [`ReadyQueue`] and [`OwnedTasks`].
#![expect(
    unsafe_code,
    reason = "intrusive lists on the owner's thread; see the invariants of `task`"
)]

use std::cell::Cell;

use crate::engine::task::header::{Flags, Header};
use crate::engine::task::raw::RawTask;

/// A counted reference to a task, on the thread of the task's loop.
#[derive(Debug)]
pub(super) struct TaskRef(RawTask);

impl TaskRef {
    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task is alive.
    unsafe fn new(task: RawTask) -> Self {
        // SAFETY: passed on to the caller.
        unsafe { task.header() }.state.acquire();
        Self(task)
    }

    pub(super) fn raw(&self) -> RawTask {
        self.0
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: the reference keeps the task, and does not leave the owner's thread.
        unsafe { self.0.header() }
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: the reference was taken in `new`, and is not used again.
        unsafe { self.0.release() };
    }
}

/// The tasks that are ready to run, first in, first out.
///
/// A task in the queue has `QUEUED` set, which keeps it alive.
#[derive(Debug)]
pub(super) struct ReadyQueue {
    head: Cell<Option<RawTask>>,
    tail: Cell<Option<RawTask>>,
}

impl ReadyQueue {
    pub(super) const fn new() -> Self {
        Self {
            head: Cell::new(None),
            tail: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// Returns the task that [`pop`](ReadyQueue::pop) would return.
    pub(super) fn first(&self) -> Option<TaskRef> {
        // SAFETY: the task is in the queue, which keeps it.
        self.head.get().map(|task| unsafe { TaskRef::new(task) })
    }

    /// Counts the tasks, in linear time.
    pub(super) fn count(&self) -> usize {
        let mut count = 0;
        let mut next = self.head.get();
        while let Some(task) = next {
            count += 1;
            // SAFETY: the task is in the queue, which keeps it.
            next = unsafe { task.header() }.ready_next.get();
        }
        count
    }

    /// Puts the task at the end of the queue.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task is not in the queue, and `QUEUED` is set.
    #[inline]
    pub(super) unsafe fn push(&self, task: RawTask) {
        // SAFETY: `QUEUED` keeps the task.
        unsafe { task.header() }.ready_next.set(None);
        match self.tail.replace(Some(task)) {
            // SAFETY: the task is in the queue, which keeps it.
            Some(last) => unsafe { last.header() }.ready_next.set(Some(task)),
            None => self.head.set(Some(task)),
        }
    }

    /// Takes the first task out. The caller has to clear `QUEUED`.
    #[inline]
    pub(super) fn pop(&self) -> Option<RawTask> {
        let task = self.head.get()?;
        // SAFETY: the task is in the queue, which keeps it.
        let next = unsafe { task.header() }.ready_next.get();
        self.head.set(next);
        if next.is_none() {
            self.tail.set(None);
        }
        Some(task)
    }
}

/// The tasks that have not finished, the newest first.
///
/// A task is in the list while `LIVE` is set, which keeps it alive. Its stage holds the future
/// or, if the task is flushing, the outcome.
#[derive(Debug)]
pub(super) struct OwnedTasks {
    first: Cell<Option<RawTask>>,
}

impl OwnedTasks {
    pub(super) const fn new() -> Self {
        Self {
            first: Cell::new(None),
        }
    }

    /// Returns the first task that is not running.
    pub(super) fn first_not_running(&self) -> Option<RawTask> {
        let mut next = self.first.get();
        while let Some(task) = next {
            // SAFETY: the task is in the list, which keeps it.
            let header = unsafe { task.header() };
            if !header.has(Flags::RUNNING) {
                return Some(task);
            }
            next = header.live_next.get();
        }
        None
    }

    /// Returns all tasks, the newest first.
    pub(super) fn all(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        let mut next = self.first.get();
        while let Some(task) = next {
            // SAFETY: the task is in the list, which keeps it.
            let task = unsafe { TaskRef::new(task) };
            next = task.header().live_next.get();
            tasks.push(task);
        }
        tasks
    }

    /// Puts the task at the start of the list.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task is `LIVE`, and in no list.
    #[inline]
    pub(super) unsafe fn insert(&self, task: RawTask) {
        let next = self.first.replace(Some(task));
        // SAFETY: `LIVE` keeps the task.
        unsafe { task.header() }.live_next.set(next);
        if let Some(next) = next {
            // SAFETY: the task is in the list, which keeps it.
            unsafe { next.header() }.live_previous.set(Some(task));
        }
    }

    /// Takes the task out.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task is in this list, and the caller clears `LIVE` next.
    #[inline]
    pub(super) unsafe fn remove(&self, task: RawTask) {
        // SAFETY: the task is in the list, which keeps it.
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
