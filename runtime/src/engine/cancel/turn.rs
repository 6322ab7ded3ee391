//! The turns of tasks that were aborted, or have cleanups to run.

use std::rc::Rc;
use std::task::Context;

use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::run;
use crate::engine::cancel::state::CleanupState;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::error::Failure;
use crate::engine::task::header::Flags;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::scheduler::token::{Ended, Polled, Running};

impl Scheduler {
    /// The turn of a task whose future is in place, and of which a flag of `SLOW_PATH` is set.
    /// Lets the panic of a poll out.
    #[cold]
    pub(crate) fn poll_special(&self, running: Running) {
        let header = running.header();
        if header.has(Flags::REFUSED) {
            self.wake_refused_of(header);
        }
        if !header.has(Flags::HAS_CLEANUP_STATE) {
            if !header.has(Flags::ABORTED) || header.has(Flags::SHIELDED) {
                return self.poll_running(running);
            }
            return self.complete(running.end(Failure::Cancelled));
        }
        let state = self.cleanup_states.of(header.id);
        if header.has(Flags::HAS_CLEANUPS) {
            let waker = running.waker();
            let cx = &mut Context::from_waker(&waker);
            if run::poll_queue(&state.queue, cx).is_ready() {
                header.clear(Flags::HAS_CLEANUPS);
            }
            self.budget.refill();
        }
        if header.has(Flags::ABORTED) {
            self.poll_cancelled(running, state.root());
        } else {
            self.poll_running(running);
        }
    }

    /// The turn of a task whose outcome is in place, and which has cleanups to run.
    #[cold]
    pub(crate) fn close(&self, ended: Ended) {
        let header = ended.header();
        let state = self.cleanup_states.of(header.id);
        if header.has(Flags::HAS_CLEANUPS) {
            let waker = ended.waker();
            let cx = &mut Context::from_waker(&waker);
            if run::poll_queue(&state.queue, cx).is_pending() {
                return ended.pause();
            }
            header.clear(Flags::HAS_CLEANUPS);
        }
        header.clear(Flags::FLUSHING);
        // Before the task is finished, which keeps the state for the next one if nothing
        // else has it.
        drop(state);
        self.complete(ended);
    }

    /// Polls a task as any other.
    fn poll_running(&self, running: Running) {
        match running.poll() {
            Polled::Ended(ended) => self.complete(ended),
            Polled::Pending(running) => running.pause(),
        }
    }

    /// Polls an aborted task, frozen, until it may be dropped.
    fn poll_cancelled(&self, running: Running, root: &Rc<CancelNode>) {
        root.wait(&Context::from_waker(&running.waker()));
        root.mark_cancelled();
        if root.has_no_pending() {
            return self.complete(running.end(Failure::Cancelled));
        }
        self.budget.freeze();
        match running.poll() {
            Polled::Ended(ended) => self.complete(ended),
            Polled::Pending(running) => {
                if root.may_drop(0, &Context::from_waker(&running.waker())) {
                    self.complete(running.end(Failure::Cancelled));
                } else {
                    running.pause();
                }
            }
        }
    }

    /// A running task with its outcome in place goes on with its cleanups.
    #[cold]
    pub(crate) fn start_flushing(&self, ended: Ended) {
        self.mark_current(Flags::FLUSHING, |_| ());
        ended.pause();
    }

    /// Drops the cleanups of a task that is being ended at once, and reports
    /// them.
    pub(crate) fn abandon_cleanups(&self, ended: &Ended) {
        let header = ended.header();
        if header.has(Flags::HAS_CLEANUP_STATE) {
            self.cleanup_states.of(header.id).queue.abandon();
            header.clear(Flags::HAS_CLEANUPS.union(Flags::FLUSHING));
        }
    }

    /// For a cleanup that is put in the lane next: the state of the task that
    /// runs, which will get to it. None if no task runs, or it is over.
    pub(crate) fn state_for_cleanup(&self) -> Option<Rc<CleanupState>> {
        let flags = Flags::HAS_CLEANUP_STATE.union(Flags::HAS_CLEANUPS);
        self.mark_current(flags, |header| self.cleanup_states.of(header.id))
    }

    /// Whether the task that runs has cleanups to run.
    pub(crate) fn current_has_cleanups(&self) -> bool {
        self.with_current(|header| header.has(Flags::HAS_CLEANUPS)) == Some(true)
    }

    /// The state of the task that runs, if it has one. A task that has ended has none.
    pub(crate) fn current_cleanup_state(&self) -> Option<Rc<CleanupState>> {
        let id = self.with_current(|header| {
            let has_upkeep = header.has(Flags::HAS_CLEANUP_STATE) && header.has(Flags::LIVE);
            has_upkeep.then_some(header.id)
        });
        Some(self.cleanup_states.of(id??))
    }

    /// The node that what runs belongs to: a scope of its task, or the task.
    pub(crate) fn current_node(&self) -> Option<Rc<CancelNode>> {
        let current = self.cleanup_states.current();
        current.or_else(|| {
            let id = self.with_current(|header| {
                let is_live = header.has(Flags::LIVE);
                if is_live {
                    header.set(Flags::HAS_CLEANUP_STATE);
                }
                is_live.then_some(header.id)
            });
            Some(Rc::clone(self.cleanup_states.of(id??).root()))
        })
    }

    /// Whether what runs was cancelled.
    pub(crate) fn is_current_cancelled(&self) -> bool {
        self.cleanup_states
            .is_current_cancelled()
            .unwrap_or_else(|| {
                let aborted = Flags::ABORTED;
                let is_aborted = self.with_current(|header| header.has(aborted)) == Some(true);
                is_aborted
                    && self
                        .current_cleanup_state()
                        .is_some_and(|state| state.is_cancelled())
            })
    }

    /// What is known of the task that runs.
    pub(crate) fn current_meta(&self) -> Option<TaskMeta> {
        self.with_current(|header| self.meta(header))
    }
}
