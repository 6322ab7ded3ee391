//! How the scheduler runs tasks that were aborted or have cleanups to run, and what the rest
//! of this module asks of the running task.

use std::rc::Rc;
use std::task::Context;

use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::run;
use crate::engine::cancel::state::CleanupState;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::error::Failure;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::scheduler::token::{Ended, Polled, Running};

impl Scheduler {
    /// Runs a task whose future is in place, and which has a flag of `SLOW_PATH`: wakes its
    /// refused operations, runs its cleanups, and polls or cancels its future. Panics if the
    /// future does.
    #[cold]
    pub(crate) fn poll_special(&self, running: Running) {
        let header = running.header();
        if header.has(Flags::REFUSED) {
            self.wake_refused_of(header);
        }
        if !header.has(Flags::HAS_CLEANUP_STATE) {
            if must_cancel(header) {
                return self.complete(running.end(Failure::Cancelled));
            }
            return self.poll_running(running);
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
        if must_cancel(header) {
            self.poll_cancelled(running, state.root());
        } else {
            self.poll_running(running);
        }
    }

    /// Runs the cleanups of a task whose outcome is in place, and ends the task if none is
    /// left.
    #[cold]
    pub(crate) fn poll_flushing(&self, ended: Ended) {
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
        // Before the task finishes: then its state is kept for another task, if there is no
        // other reference to it.
        drop(state);
        self.complete(ended);
    }

    /// Polls the future of a task that is not cancelled.
    fn poll_running(&self, running: Running) {
        match running.poll() {
            Polled::Ended(ended) => self.complete(ended),
            Polled::Pending(running) => running.pause(),
        }
    }

    /// Polls the future of an aborted task, frozen, or drops it if it may be dropped.
    fn poll_cancelled(&self, running: Running, root: &Rc<CancelNode>) {
        root.register_waker(&Context::from_waker(&running.waker()));
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

    /// Ends the run of a task whose outcome is in place, but which has cleanups left. The task
    /// is scheduled again to run them.
    #[cold]
    pub(crate) fn start_flushing(&self, ended: Ended) {
        self.mark_current(Flags::FLUSHING, |_| ());
        ended.pause();
    }

    /// Drops the cleanups of a task that is being ended at once, and reports them.
    pub(crate) fn abandon_cleanups(&self, ended: &Ended) {
        let header = ended.header();
        if header.has(Flags::HAS_CLEANUP_STATE) {
            self.cleanup_states.of(header.id).queue.abandon();
            header.clear(Flags::HAS_CLEANUPS.union(Flags::FLUSHING));
        }
    }

    /// Returns the state of the running task, for a cleanup that is added to its queue next,
    /// and schedules the task to run it. Returns `None` if no task is running, or if it has
    /// finished.
    pub(super) fn state_for_cleanup(&self) -> Option<Rc<CleanupState>> {
        let flags = Flags::HAS_CLEANUP_STATE.union(Flags::HAS_CLEANUPS);
        self.mark_current(flags, |header| self.cleanup_states.of(header.id))
    }

    /// Returns whether the running task has cleanups left.
    pub(super) fn current_has_cleanups(&self) -> bool {
        self.with_current(|header| header.has(Flags::HAS_CLEANUPS)) == Some(true)
    }

    /// Returns the state of the running task, if it has one. A task that has finished has
    /// none.
    pub(crate) fn current_cleanup_state(&self) -> Option<Rc<CleanupState>> {
        let id = self.with_current(|header| {
            let has_state = header.has(Flags::HAS_CLEANUP_STATE) && header.has(Flags::LIVE);
            has_state.then_some(header.id)
        });
        Some(self.cleanup_states.of(id??))
    }

    /// Returns the node of the running code: of a scope in its task, or of the task. Creates
    /// the state of the task if it has none.
    pub(super) fn current_node(&self) -> Option<Rc<CancelNode>> {
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

    /// Returns whether the running code was cancelled.
    pub(super) fn is_current_cancelled(&self) -> bool {
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

    /// Returns the metadata of the running task.
    pub(crate) fn current_meta(&self) -> Option<TaskMeta> {
        self.with_current(|header| self.meta(header))
    }
}

/// Returns whether the task has to be cancelled instead of polled.
fn must_cancel(header: &Header) -> bool {
    header.has(Flags::ABORTED) && !header.has(Flags::DECIDES_ABORT)
}
