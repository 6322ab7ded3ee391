//! [`Scheduler`]: the tasks of one loop, and the running of those that are ready.
#![expect(
    unsafe_code,
    reason = "the owner of the tasks; see the invariants of `task`"
)]

mod inspect;
pub(crate) mod refused;
#[cfg(test)]
mod tests;
pub(crate) mod token;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::engine::cancel::state::CleanupStates;
use crate::engine::id::{Id, Ids};
use crate::engine::nesting::Level;
use crate::engine::task::budget::Budget;
use crate::engine::task::error::{Failure, JoinError};
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::join::JoinHandle;
use crate::engine::task::raw::RawTask;
use crate::engine::task::ready_queue::{OwnedTasks, ReadyQueue, TaskRef};
use crate::engine::task::remote::{Remote, RemoteOwner};
use crate::engine::task::scheduler::refused::Refused;
use crate::engine::task::scheduler::token::{Ended, Polled, Running};
use crate::engine::task::spawn_options::SpawnOptions;
use crate::engine::{cancel, panics};

/// The tasks of a loop, on the loop's thread, which is their owner.
#[derive(Debug)]
pub(crate) struct Scheduler {
    remote: RemoteOwner,
    ready: ReadyQueue,
    live: OwnedTasks,
    /// The budget of the current task.
    pub(crate) budget: Budget,
    /// The cleanup state of each task that is `HAS_CLEANUP_STATE`.
    pub(crate) cleanup_states: CleanupStates,
    /// The current task: the one that is being run or ended.
    current: Cell<Option<RawTask>>,
    /// Wakers of operations that were refused in the last polls.
    refused: Refused,
    ids: Ids,
    /// The names of the live tasks that have one.
    names: RefCell<BTreeMap<Id, Arc<str>>>,
    /// Whether the root has finished. `run_ready` stops then, and resets the flag.
    root_finished: Cell<bool>,
    /// Whether the scheduler was shut down.
    closed: Cell<bool>,
    /// Whether `shut_down` is ending tasks further up the stack.
    is_ending: Cell<bool>,
    counts: Counts,
}

/// Counters for [`RuntimeMetrics`](crate::runtime::RuntimeMetrics).
#[derive(Debug, Default)]
struct Counts {
    spawned: Cell<u64>,
    /// Tasks that have finished.
    ended: Cell<u64>,
    /// Live tasks that are the loop's own.
    hidden: Cell<u64>,
    /// Polls that were begun, plus `left`.
    polls: Cell<u64>,
    /// The number of polls that the current call of `run_ready` may still begin; 0 outside.
    left: Cell<u32>,
    /// Tasks that were taken from the inbox.
    remote_schedules: Cell<u64>,
}

impl Scheduler {
    pub(crate) fn new(remote: RemoteOwner, cleanup: cancel::state::Options) -> Self {
        Self {
            remote,
            ready: ReadyQueue::new(),
            live: OwnedTasks::new(),
            budget: Budget::unlimited(),
            cleanup_states: CleanupStates::new(cleanup),
            current: Cell::new(None),
            refused: Refused::default(),
            ids: Ids::new(),
            names: RefCell::default(),
            root_finished: Cell::new(false),
            closed: Cell::new(false),
            is_ending: Cell::new(false),
            counts: Counts::default(),
        }
    }

    /// Returns the owner's side of what other threads can reach of the loop.
    pub(crate) fn remote(&self) -> &RemoteOwner {
        &self.remote
    }

    /// Returns whether tasks with this `Remote` belong to this scheduler.
    #[inline]
    pub(super) fn owns(&self, remote: NonNull<Remote>) -> bool {
        self.remote.pointer() == remote
    }

    /// Returns whether the current task was aborted, and resets that. For a task that
    /// `DECIDES_ABORT`.
    pub(crate) fn take_abort(&self) -> bool {
        let asked = self.with_current(|header| {
            let asked = header.has(Flags::ABORTED);
            header.clear(Flags::ABORTED);
            asked
        });
        asked == Some(true)
    }

    /// Makes the current task end when it next runs, as if it were aborted and not
    /// `DECIDES_ABORT`. The caller wakes it for that run.
    pub(crate) fn cancel_current(&self) {
        self.with_current(|header| {
            header.clear(Flags::DECIDES_ABORT);
            header.set(Flags::ABORTED);
        });
    }

    /// Sets flags of the current task, puts it in the ready queue, and calls `f` with it.
    /// Returns `None` if no task is current, or if it has finished.
    pub(in crate::engine) fn mark_current<R>(
        &self,
        flags: Flags,
        f: impl FnOnce(&Header) -> R,
    ) -> Option<R> {
        let task = self.current.get()?;
        // SAFETY: as in `with_current`.
        let header = unsafe { task.header() };
        if !header.has(Flags::LIVE) {
            return None;
        }
        header.set(flags);
        // SAFETY: `LIVE` keeps the task, which belongs to this scheduler, and this is the
        // owner's thread.
        unsafe { self.make_ready(task, false) };
        Some(f(header))
    }

    /// Calls `f` with the current task. Returns `None` if no task is current.
    #[inline]
    pub(in crate::engine) fn with_current<R>(&self, f: impl FnOnce(&Header) -> R) -> Option<R> {
        // SAFETY: `RUNNING` keeps the current task. It is set until `f` returns, because the
        // token of the run is further up the stack, or was lost by the panic that
        // `fail_current` handles. No other code runs between the end of a run and the moment
        // at which the task is no longer current.
        let header = unsafe { self.current.get()?.header() };
        Some(f(header))
    }

    /// Returns whether any task is ready to run.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Spawns `future` as a task that is ready to run. After a shutdown the task is cancelled
    /// at once.
    #[inline]
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        options: SpawnOptions<'_>,
    ) -> JoinHandle<F::Output> {
        let id = options.id.unwrap_or_else(|| self.ids.next());
        // SAFETY: nothing in the future or its output expires, as both are `'static`.
        let handle = unsafe { self.spawn_borrowing(future, id, options.spawned_at) };
        if let Some(name) = options.name {
            self.name(&handle, name);
        }
        handle
    }

    /// Spawns `future`, which may borrow, as the root: the task of a `block_on`. Calls `drive`,
    /// which should run tasks until the function that it gets returns true: then the root has
    /// finished. If the root has not finished when `drive` returns or panics, it is cancelled.
    pub(crate) fn run_root<F: Future>(
        &self,
        future: F,
        spawned_at: &'static Location<'static>,
        drive: impl FnOnce(&dyn Fn() -> bool),
    ) -> Result<F::Output, JoinError> {
        /// Ends the root before anything that it borrows expires.
        struct End<'a, T> {
            tasks: &'a Scheduler,
            handle: JoinHandle<T>,
        }

        impl<T> Drop for End<'_, T> {
            fn drop(&mut self) {
                self.tasks.end_now(self.handle.task());
                if !self.handle.is_finished() {
                    // The root is still running. This cannot happen, because `run_ready`
                    // catches the panics of polls.
                    std::process::abort();
                }
            }
        }

        let mut root = End {
            tasks: self,
            // SAFETY: `End` ends the task and then drops the handle, before this function
            // returns. `ROOT` is set before anything can drop the handle.
            handle: unsafe { self.spawn_borrowing(future, self.ids.next(), spawned_at) },
        };
        self.root_finished.set(false);
        root.handle.header().set(Flags::ROOT);
        drive(&|| root.handle.is_finished());
        self.end_now(root.handle.task());
        root.handle.result()
    }

    /// Like [`spawn`](Scheduler::spawn), for a future that may borrow.
    ///
    /// # Safety
    ///
    /// Before anything that the future or its output borrows expires, the caller ends the
    /// task by [`end_now`](Scheduler::end_now) and drops the handle. If they borrow, `ROOT` is
    /// set when the handle is dropped; otherwise the output may be dropped later.
    #[inline]
    pub(super) unsafe fn spawn_borrowing<F: Future>(
        &self,
        future: F,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        let task = RawTask::new(future, self.remote.share(), id, spawned_at);
        self.counts.spawned.set(self.counts.spawned.get() + 1);
        // SAFETY: the new task is `LIVE`, and in no list.
        unsafe { self.live.insert(task) };
        // SAFETY: the new task is `JOINED`, and this is its only handle.
        let handle = unsafe { JoinHandle::new(task) };
        if self.closed.get() {
            self.refuse(task);
        } else {
            // SAFETY: the new task is `QUEUED`, and not in the queue.
            unsafe { self.ready.push(task) };
        }
        handle
    }

    /// Cancels a task that was spawned after the shutdown. A destructor may spawn a task whose
    /// destructor spawns a task, and so on. If too many are nested while `shut_down` runs,
    /// the task is left in the list of live tasks for `shut_down` to end.
    #[cold]
    fn refuse(&self, task: RawTask) {
        // SAFETY: the handle keeps the task. It was never put in the queue.
        unsafe { task.header() }.clear(Flags::QUEUED);
        let level = Level::enter();
        if level.is_some() || !self.is_ending.get() {
            self.end_now(task);
        }
    }

    /// Puts the task at the end of the ready queue, unless it is in the queue already or has
    /// finished. If `abort`, also marks it as aborted.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task belongs to this scheduler, and the caller keeps it
    /// alive.
    #[inline]
    pub(super) unsafe fn make_ready(&self, task: RawTask, abort: bool) {
        // SAFETY: passed on to the caller.
        let header = unsafe { task.header() };
        if !header.has(Flags::LIVE) {
            return;
        }
        if abort {
            header.set(Flags::ABORTED);
        }
        if !header.has(Flags::QUEUED) {
            header.set(Flags::QUEUED);
            // SAFETY: the task is not in the queue, and `QUEUED` was set just now.
            unsafe { self.ready.push(task) };
        }
    }

    /// Runs at most `max` ready tasks, in the order of the ready queue, and stops when the root
    /// has finished. Returns whether there is nothing more to run now: no task is ready, or the
    /// root has finished.
    ///
    /// One `catch_unwind` serves all of them, because a poll often takes less time than one
    /// `catch_unwind`.
    #[expect(
        clippy::inline_always,
        reason = "one caller is in every turn, the other must not make it a call there"
    )]
    #[inline(always)]
    pub(crate) fn run_ready(&self, max: u32) -> bool {
        let Counts { polls, left, .. } = &self.counts;
        polls.set(polls.get() + u64::from(max));
        left.set(max);
        let none_left = loop {
            match catch_unwind(AssertUnwindSafe(|| self.run_some())) {
                Ok(none_left) => break none_left,
                Err(payload) => {
                    self.fail_current(payload);
                    if self.root_finished.take() {
                        break true;
                    }
                }
            }
        };
        polls.set(polls.get() - u64::from(left.take()));
        self.budget.set_unlimited();
        self.current.set(None);
        self.wake_refused();
        none_left
    }

    /// Like [`run_ready`](Scheduler::run_ready), for one task.
    #[cold]
    pub(crate) fn run_one(&self) -> bool {
        self.run_ready(1)
    }

    /// Like [`run_ready`](Scheduler::run_ready), for at most `counts.left` tasks. A panic of a
    /// poll propagates; the task is still `RUNNING` and current then.
    #[inline]
    fn run_some(&self) -> bool {
        let left = &self.counts.left;
        while let Some(more) = left.get().checked_sub(1) {
            let Some(task) = self.ready.pop() else {
                return true;
            };
            left.set(more);
            // SAFETY: `QUEUED`, and then `RUNNING`, keeps the task.
            let header = unsafe { task.header() };
            let flags = header.flags().without(Flags::QUEUED);
            if !flags.intersects(Flags::LIVE) {
                header.set_flags(flags);
                // SAFETY: `QUEUED` was cleared just now.
                unsafe { task.disown() };
                continue;
            }
            header.set_flags(flags.union(Flags::RUNNING));
            self.current.set(Some(task));
            self.budget.refill();
            if flags.intersects(Flags::SLOW_PATH) {
                self.run_slow_path(task);
            } else {
                // SAFETY: the task is live and not flushing, and `RUNNING` was set just now.
                match unsafe { Running::new(task) }.poll() {
                    Polled::Ended(ended) => self.complete(ended),
                    Polled::Pending(running) => {
                        running.pause();
                        continue;
                    }
                }
            }
            if self.root_finished.take() {
                return true;
            }
        }
        !self.has_ready()
    }

    /// Runs a task that has a flag of `SLOW_PATH`, and of which `RUNNING` was set just now. A
    /// panic of a poll propagates.
    #[cold]
    fn run_slow_path(&self, task: RawTask) {
        // SAFETY: `RUNNING` keeps the task.
        if unsafe { task.header() }.has(Flags::FLUSHING) {
            // SAFETY: the task is live and flushing, and `RUNNING` was set just now.
            self.poll_flushing(unsafe { Ended::flushing(task) });
        } else {
            // SAFETY: the task is live and not flushing, and `RUNNING` was set just now.
            self.poll_special(unsafe { Running::new(task) });
        }
    }

    /// Drops the future of the current task, whose poll panicked, and ends the task if it has
    /// no cleanups.
    #[cold]
    fn fail_current(&self, payload: Box<dyn Any + Send>) {
        let Some(task) = self.current.get() else {
            // Cannot happen: only the poll of a task panics, and then the task is current.
            resume_unwind(payload)
        };
        // SAFETY: `RUNNING` keeps the task.
        let header = unsafe { task.header() };
        let is_in_place =
            header.has(Flags::LIVE) && header.has(Flags::RUNNING) && !header.has(Flags::FLUSHING);
        if !is_in_place {
            // The stage may hold the outcome. To drop that as a future would be undefined
            // behaviour.
            panics::abort();
        }
        let failure = Failure::panicked(self.meta(header), self.remote.unhandled(), payload);
        // SAFETY: the flags were checked just now, and the panic has ended the call that had
        // the token.
        let running = unsafe { Running::new(task) };
        self.complete(running.end(failure));
    }

    /// Ends the run of a task whose outcome is stored. The task finishes, or if it has
    /// cleanups, begins to flush them.
    #[inline(never)]
    pub(in crate::engine) fn complete(&self, ended: Ended) {
        if ended.header().has(Flags::HAS_CLEANUPS) {
            self.start_flushing(ended);
        } else {
            self.finish(ended);
        }
        // The task may have been freed by now.
        self.current.set(None);
    }

    /// Finishes a task whose outcome is in place, and ends its run.
    fn finish(&self, ended: Ended) {
        let header = ended.header();
        // SAFETY: a live task of this scheduler is in this list, and `LIVE` is cleared next.
        unsafe { self.live.remove(ended.task()) };
        header.clear(Flags::LIVE);
        header.set(Flags::RESULT);
        header.state.finish();
        self.counts.ended.set(self.counts.ended.get() + 1);
        if header.has(Flags::JOINED) {
            header.join_waker.wake();
        } else {
            // SAFETY: the token keeps the task.
            unsafe { ended.task().discard_outcome() };
        }
        if header.has(Flags::SPECIAL) {
            self.finish_special(header);
        }
        ended.release();
    }

    /// The part of `finish` for tasks that have a flag of `SPECIAL`.
    #[cold]
    fn finish_special(&self, header: &Header) {
        if header.has(Flags::ROOT) {
            self.root_finished.set(true);
        }
        if header.has(Flags::HIDDEN) {
            self.counts.hidden.set(self.counts.hidden.get() - 1);
        }
        if header.has(Flags::NAMED) {
            self.names.borrow_mut().remove(&header.id);
        }
        if header.has(Flags::HAS_CLEANUP_STATE) {
            self.cleanup_states.remove(header.id);
        }
    }

    /// Finishes a task at once, unless it has finished or is running. A future that is still in
    /// place is dropped, and cleanups are abandoned.
    fn end_now(&self, task: RawTask) {
        // SAFETY: the handle or `LIVE` keeps the task until it has finished.
        let header = unsafe { task.header() };
        assert!(self.owns(header.remote), "a task of another loop");
        if !header.has(Flags::LIVE) || header.has(Flags::RUNNING) {
            return;
        }
        header.set(Flags::RUNNING);
        let before = self.current.replace(Some(task));
        let ended = if header.has(Flags::FLUSHING) {
            // SAFETY: the task is live and flushing, and `RUNNING` was set just now.
            unsafe { Ended::flushing(task) }
        } else {
            // SAFETY: the task is live and not flushing, and `RUNNING` was set just now.
            unsafe { Running::new(task) }.end(Failure::Cancelled)
        };
        self.abandon_cleanups(&ended);
        self.finish(ended);
        self.current.set(before);
    }

    /// Aborts a task of this scheduler: it is cancelled when it next runs.
    fn abort(&self, task: &TaskRef) {
        assert!(self.owns(task.header().remote), "a task of another loop");
        // SAFETY: the reference keeps the task, which belongs to this scheduler, and this is
        // the owner's thread.
        unsafe { self.make_ready(task.raw(), true) };
    }

    /// Aborts every live task that is not the loop's own, oldest first.
    pub(crate) fn abort_all(&self) {
        for task in self.live.all().iter().rev() {
            if !task.header().has(Flags::HIDDEN) {
                self.abort(task);
            }
        }
    }

    /// Marks the loop awake, and moves the tasks that other threads woke or aborted from the
    /// inbox to the ready queue.
    pub(crate) fn take_remote(&self) {
        for task in self.remote.take() {
            let task = RawTask::from_pointer(task);
            // SAFETY: the inbox's reference, which is ours now, keeps the task.
            let abort = unsafe { task.header() }.state.clear_in_inbox();
            self.counts
                .remote_schedules
                .set(self.counts.remote_schedules.get() + 1);
            // SAFETY: likewise. Only tasks of this scheduler are in its inbox.
            unsafe { self.make_ready(task, abort) };
            // SAFETY: the reference that the inbox had.
            unsafe { task.release() };
        }
    }

    /// Ends every task that is not running, and all tasks that are spawned from now on.
    ///
    /// The destructors of futures may spawn, wake and abort tasks.
    pub(crate) fn shut_down(&self) {
        if self.closed.replace(true) {
            // The first call, further up the stack, ends the tasks that are left.
            return;
        }
        for task in self.remote.close() {
            let task = RawTask::from_pointer(task);
            // SAFETY: the inbox's reference, which is ours now, keeps the task.
            unsafe { task.header() }.state.clear_in_inbox();
            // SAFETY: the reference that the inbox had.
            unsafe { task.release() };
        }
        // A task is still running if its poll has called `exit`, which drops the thread-locals
        // of this thread, and a runtime in one of them. The rest of that poll never runs.
        self.is_ending.set(true);
        while let Some(task) = self.live.first_not_running() {
            self.end_now(task);
        }
        self.is_ending.set(false);
        while let Some(task) = self.ready.pop() {
            // SAFETY: `QUEUED` keeps the task until it is disowned.
            unsafe { task.header() }.clear(Flags::QUEUED);
            // SAFETY: `QUEUED` was cleared just now.
            unsafe { task.disown() };
        }
    }

    /// Gives back the share of a freed task in its `Remote`, if the task belonged to this
    /// scheduler. Returns whether it did.
    #[inline]
    pub(super) fn unshare(&self, remote: NonNull<Remote>) -> bool {
        let ours = self.owns(remote);
        if ours {
            self.remote.unshare();
        }
        ours
    }
}
