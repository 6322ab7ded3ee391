//! The turns of tasks that were aborted, or have cleanups to run.
#![expect(
    unsafe_code,
    reason = "polls and ends tasks that it owns; see the invariants of `task`"
)]

use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::task::Context;

use super::TaskSet;
use crate::cleanup::{Node, Upkeep};
use crate::task::cell::Raw;
use crate::task::error::Failure;
use crate::task::header::{Flags, Header};
use crate::task::meta::TaskMeta;
use crate::task::waker;

impl TaskSet {
    /// The turn of a task that is running by its flags, and of which one of
    /// `DETOUR` is set. Lets the panic of a poll out.
    #[cold]
    pub(super) fn detour(&self, task: Raw) {
        // SAFETY: `RUNNING` keeps the task.
        let header = unsafe { task.header() };
        if !header.has(Flags::GUARDED) {
            if header.has(Flags::SHIELDED) {
                return self.poll_running(task);
            }
            return self.end_running(task, Failure::Cancelled);
        }
        let upkeep = self.upkeeps.of(header.id);
        // SAFETY: `RUNNING` keeps the task, and the waker is forgotten.
        let waker = ManuallyDrop::new(unsafe { waker::from_raw(task) });
        let context = &mut Context::from_waker(&waker);
        if header.has(Flags::BUSY) {
            if upkeep.lane.poll(context).is_ready() {
                header.clear(Flags::BUSY);
            }
            self.budget.refill();
        }
        if header.has(Flags::CLOSING) {
            if header.has(Flags::BUSY) {
                header.clear(Flags::RUNNING);
            } else {
                header.clear(Flags::CLOSING);
                self.finish(task);
            }
        } else if header.has(Flags::ABORTED) {
            self.poll_cancelled(task, upkeep.root(), context);
        } else {
            self.poll_running(task);
        }
    }

    /// Polls a task as any other.
    fn poll_running(&self, task: Raw) {
        // SAFETY: live, not closing, and set running by the caller.
        if unsafe { task.poll() } {
            self.finish(task);
        } else {
            // SAFETY: `RUNNING` keeps the task until here, then `LIVE` does.
            unsafe { task.header() }.clear(Flags::RUNNING);
        }
    }

    /// Polls an aborted task, frozen, until it may be dropped.
    fn poll_cancelled(&self, task: Raw, root: &Rc<Node>, context: &mut Context<'_>) {
        root.wait(context);
        root.cancel();
        if root.is_free() {
            return self.end_running(task, Failure::Cancelled);
        }
        self.budget.freeze();
        // SAFETY: live, not closing, and set running by the caller.
        if unsafe { task.poll() } {
            self.finish(task);
        } else if root.is_quiet(0, context) {
            self.end_running(task, Failure::Cancelled);
        } else {
            // SAFETY: `RUNNING` keeps the task until here, then `LIVE` does.
            unsafe { task.header() }.clear(Flags::RUNNING);
        }
    }

    /// A running task with its outcome in place goes on with its cleanups.
    #[cold]
    pub(super) fn start_closing(&self, task: Raw) {
        // SAFETY: `RUNNING` keeps the task.
        let header = unsafe { task.header() };
        header.set(Flags::CLOSING);
        header.clear(Flags::RUNNING);
        // SAFETY: `LIVE` keeps the task, and this is the owner's thread.
        unsafe { self.make_ready(task, false) };
    }

    /// Drops the cleanups of a task that is being ended at once, and reports
    /// them.
    pub(super) fn abandon_lane(&self, header: &Header) {
        if header.has(Flags::GUARDED) {
            self.upkeeps.of(header.id).lane.abandon();
            header.clear(Flags::BUSY.and(Flags::CLOSING));
        }
    }

    /// For a cleanup that is put in the lane next: the upkeep of the task that
    /// runs, which will get to it. None if no task runs, or it is over.
    pub(crate) fn upkeep_for_cleanup(&self) -> Option<Rc<Upkeep>> {
        let task = self.current.get()?;
        // SAFETY: `RUNNING` keeps the task that runs.
        let header = unsafe { task.header() };
        if !header.has(Flags::LIVE) {
            return None;
        }
        header.set(Flags::GUARDED.and(Flags::BUSY));
        // SAFETY: `LIVE` keeps the task, and this is the owner's thread.
        unsafe { self.make_ready(task, false) };
        Some(self.upkeeps.of(header.id))
    }

    /// Whether the task that runs has cleanups to run.
    pub(crate) fn is_current_busy(&self) -> bool {
        self.with_current(|header| header.has(Flags::BUSY)) == Some(true)
    }

    /// The upkeep of the task that runs, if it has one.
    pub(crate) fn current_upkeep(&self) -> Option<Rc<Upkeep>> {
        let id = self.with_current(|header| header.has(Flags::GUARDED).then_some(header.id));
        Some(self.upkeeps.of(id??))
    }

    /// The node that what runs belongs to: a scope of its task, or the task.
    pub(crate) fn current_node(&self) -> Option<Rc<Node>> {
        let current = self.upkeeps.current();
        current.or_else(|| {
            let id = self.with_current(|header| {
                let is_live = header.has(Flags::LIVE);
                if is_live {
                    header.set(Flags::GUARDED);
                }
                is_live.then_some(header.id)
            });
            Some(Rc::clone(self.upkeeps.of(id??).root()))
        })
    }

    /// Whether what runs was cancelled.
    pub(crate) fn is_current_cancelled(&self) -> bool {
        self.upkeeps.is_current_cancelled().unwrap_or_else(|| {
            let aborted = Flags::ABORTED;
            let is_aborted = self.with_current(|header| header.has(aborted)) == Some(true);
            is_aborted
                && self
                    .current_upkeep()
                    .is_some_and(|upkeep| upkeep.is_cancelled())
        })
    }

    /// What is known of the task that runs.
    pub(crate) fn current_meta(&self) -> Option<TaskMeta> {
        self.with_current(|header| self.meta(header))
    }

    /// Aborts every task that is not the loop's own, oldest first.
    pub(crate) fn abort_all(&self) {
        let mut tasks = Vec::new();
        let mut next = self.live.first();
        while let Some(task) = next {
            // SAFETY: `LIVE` keeps the task, and nothing of others runs here.
            let header = unsafe { task.header() };
            next = header.live_next.get();
            if !header.has(Flags::HIDDEN) {
                tasks.push(task);
            }
        }
        for task in tasks.into_iter().rev() {
            // SAFETY: likewise, and this is the owner's thread.
            unsafe { self.make_ready(task, true) };
        }
    }
}
