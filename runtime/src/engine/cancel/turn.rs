//! The turns of tasks that were aborted, or have cleanups to run.

use std::rc::Rc;
use std::task::Context;

use crate::engine::cancel::node::Node;
use crate::engine::cancel::run;
use crate::engine::cancel::state::Upkeep;
use crate::engine::task::error::Failure;
use crate::engine::task::header::Flags;
use crate::engine::task::meta::TaskMeta;
use crate::engine::task::scheduler::TaskSet;
use crate::engine::task::scheduler::token::{Ended, Polled, Running};

impl TaskSet {
    /// The turn of a task whose future is in place, and of which a flag of `DETOUR` is set.
    /// Lets the panic of a poll out.
    #[cold]
    pub(crate) fn detour(&self, running: Running) {
        let header = running.header();
        if header.has(Flags::REFUSED) {
            self.wake_refused_of(header);
        }
        if !header.has(Flags::GUARDED) {
            if !header.has(Flags::ABORTED) || header.has(Flags::SHIELDED) {
                return self.poll_running(running);
            }
            return self.finish(running.end(Failure::Cancelled));
        }
        let upkeep = self.upkeeps.of(header.id);
        if header.has(Flags::BUSY) {
            let waker = running.waker();
            let context = &mut Context::from_waker(&waker);
            if run::poll_queue(&upkeep.lane, context).is_ready() {
                header.clear(Flags::BUSY);
            }
            self.budget.refill();
        }
        if header.has(Flags::ABORTED) {
            self.poll_cancelled(running, upkeep.root());
        } else {
            self.poll_running(running);
        }
    }

    /// The turn of a task whose outcome is in place, and which has cleanups to run.
    #[cold]
    pub(crate) fn close(&self, ended: Ended) {
        let header = ended.header();
        let upkeep = self.upkeeps.of(header.id);
        if header.has(Flags::BUSY) {
            let waker = ended.waker();
            let context = &mut Context::from_waker(&waker);
            if run::poll_queue(&upkeep.lane, context).is_pending() {
                return ended.pause();
            }
            header.clear(Flags::BUSY);
        }
        header.clear(Flags::CLOSING);
        // Before the task is finished, which keeps the upkeep for the next one if nothing
        // else has it.
        drop(upkeep);
        self.finish(ended);
    }

    /// Polls a task as any other.
    fn poll_running(&self, running: Running) {
        match running.poll() {
            Polled::Ended(ended) => self.finish(ended),
            Polled::Pending(running) => running.pause(),
        }
    }

    /// Polls an aborted task, frozen, until it may be dropped.
    fn poll_cancelled(&self, running: Running, root: &Rc<Node>) {
        root.wait(&Context::from_waker(&running.waker()));
        root.mark_cancelled();
        if root.is_free() {
            return self.finish(running.end(Failure::Cancelled));
        }
        self.budget.freeze();
        match running.poll() {
            Polled::Ended(ended) => self.finish(ended),
            Polled::Pending(running) => {
                if root.is_quiet(0, &Context::from_waker(&running.waker())) {
                    self.finish(running.end(Failure::Cancelled));
                } else {
                    running.pause();
                }
            }
        }
    }

    /// A running task with its outcome in place goes on with its cleanups.
    #[cold]
    pub(crate) fn start_closing(&self, ended: Ended) {
        self.mark_current(Flags::CLOSING, |_| ());
        ended.pause();
    }

    /// Drops the cleanups of a task that is being ended at once, and reports
    /// them.
    pub(crate) fn abandon_lane(&self, ended: &Ended) {
        let header = ended.header();
        if header.has(Flags::GUARDED) {
            self.upkeeps.of(header.id).lane.abandon();
            header.clear(Flags::BUSY.and(Flags::CLOSING));
        }
    }

    /// For a cleanup that is put in the lane next: the upkeep of the task that
    /// runs, which will get to it. None if no task runs, or it is over.
    pub(crate) fn upkeep_for_cleanup(&self) -> Option<Rc<Upkeep>> {
        let flags = Flags::GUARDED.and(Flags::BUSY);
        self.mark_current(flags, |header| self.upkeeps.of(header.id))
    }

    /// Whether the task that runs has cleanups to run.
    pub(crate) fn is_current_busy(&self) -> bool {
        self.with_current(|header| header.has(Flags::BUSY)) == Some(true)
    }

    /// The upkeep of the task that runs, if it has one. A task that has ended has none.
    pub(crate) fn current_upkeep(&self) -> Option<Rc<Upkeep>> {
        let id = self.with_current(|header| {
            let has_upkeep = header.has(Flags::GUARDED) && header.has(Flags::LIVE);
            has_upkeep.then_some(header.id)
        });
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
}
