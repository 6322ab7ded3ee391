//! The tasks of one loop: those ready to run, and all that live.
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
use crate::engine::{cancel, panics};

/// Owns the tasks of a loop, on the loop's thread.
#[derive(Debug)]
pub(crate) struct Scheduler {
    remote: RemoteOwner,
    ready: ReadyQueue,
    live: OwnedTasks,
    /// What the running task may still do before it has to yield.
    pub(crate) budget: Budget,
    /// What tasks with guards or scopes have.
    pub(crate) cleanup_states: CleanupStates,
    current: Cell<Option<RawTask>>,
    /// What found no budget in the last polls.
    refused: Refused,
    ids: Ids,
    /// Of the live tasks that have one.
    names: RefCell<BTreeMap<Id, Arc<str>>>,
    /// Whether the root is over, until the loop has taken note.
    root_over: Cell<bool>,
    closed: Cell<bool>,
    /// Whether `shut_down` ends tasks at the moment.
    is_ending: Cell<bool>,
    counts: Counts,
}

/// What [`RuntimeMetrics`](crate::runtime::RuntimeMetrics) tells of tasks and
/// does not follow from anything else.
#[derive(Debug, Default)]
struct Counts {
    spawned: Cell<u64>,
    /// Tasks that are over.
    ended: Cell<u64>,
    /// Live tasks that are the loop's own.
    hidden: Cell<u64>,
    /// Polls up to now, and those that the slice that runs has left.
    polls: Cell<u64>,
    /// How many more polls the slice that runs may begin; 0 between slices.
    left: Cell<u32>,
    posted: Cell<u64>,
}

impl Scheduler {
    pub(crate) fn new(remote: RemoteOwner, cleanup: cancel::state::Options) -> Scheduler {
        Scheduler {
            remote,
            ready: ReadyQueue::new(),
            live: OwnedTasks::new(),
            budget: Budget::unlimited(),
            cleanup_states: CleanupStates::new(cleanup),
            current: Cell::new(None),
            refused: Refused::default(),
            ids: Ids::new(),
            names: RefCell::default(),
            root_over: Cell::new(false),
            closed: Cell::new(false),
            is_ending: Cell::new(false),
            counts: Counts::default(),
        }
    }

    /// The loop's part that other threads can reach.
    pub(crate) fn remote(&self) -> &RemoteOwner {
        &self.remote
    }

    /// Whether tasks with this remote are this set's.
    #[inline]
    pub(crate) fn owns(&self, remote: NonNull<Remote>) -> bool {
        self.remote.pointer() == remote
    }

    /// Whether the task that runs, which is shielded, is to be aborted. Said
    /// once.
    pub(crate) fn take_abort(&self) -> bool {
        let asked = self.with_current(|header| {
            let asked = header.has(Flags::ABORTED);
            header.clear(Flags::ABORTED);
            asked
        });
        asked == Some(true)
    }

    /// Has the task that runs cancelled at its next turn, for which the caller
    /// wakes it.
    pub(crate) fn cancel_current(&self) {
        self.with_current(|header| {
            header.clear(Flags::SHIELDED);
            header.set(Flags::ABORTED);
        });
    }

    /// Sets flags of the task that runs, and puts it in the queue. Calls `f` with it.
    /// Returns `None` if no task runs, or if it has ended.
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
        // SAFETY: `LIVE` keeps the task, which is of this set, and this is the owner's
        // thread.
        unsafe { self.make_ready(task, false) };
        Some(f(header))
    }

    /// Calls `f` with the task that runs.
    #[inline]
    pub(in crate::engine) fn with_current<R>(&self, f: impl FnOnce(&Header) -> R) -> Option<R> {
        // SAFETY: `RUNNING` keeps the task that runs. It stays set meanwhile, because the
        // token of the run is further up the stack, or was lost by the panic that
        // `fail_current` deals with. No code runs between the end of a run and the moment
        // at which the task is no longer current.
        let header = unsafe { self.current.get()?.header() };
        Some(f(header))
    }

    /// Whether a task is ready to run.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// An id for a task to come.
    #[inline]
    pub(crate) fn next_id(&self) -> Id {
        self.ids.next()
    }

    /// Makes a task of `future`, ready to run; on a set that was shut down, a
    /// cancelled one.
    #[inline]
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        id: Id,
        future: F,
        spawned_at: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        // SAFETY: nothing in the future or its output expires, as both are `'static`.
        unsafe { self.spawn_borrowing(future, id, spawned_at) }
    }

    /// Makes a task of `future`, which may borrow, and calls `drive` with a
    /// test of whether it is over, to run the set until then. A root that is
    /// not over when `drive` returns, or panics, is cancelled.
    pub(crate) fn run_root<F: Future>(
        &self,
        future: F,
        spawned_at: &'static Location<'static>,
        drive: impl FnOnce(&dyn Fn() -> bool),
    ) -> Result<F::Output, JoinError> {
        /// Ends the root before anything that it borrows does.
        struct End<'a, T> {
            tasks: &'a Scheduler,
            handle: JoinHandle<T>,
        }

        impl<T> Drop for End<'_, T> {
            fn drop(&mut self) {
                self.tasks.end_now(self.handle.task());
                if !self.handle.is_finished() {
                    // Only if a panic of its poll came out of `run_ready`, which
                    // catches every one.
                    std::process::abort();
                }
            }
        }

        let mut root = End {
            tasks: self,
            // SAFETY: `End` ends the task, and then drops the handle, before
            // this returns; and `ROOT` is set before anything can drop it.
            handle: unsafe { self.spawn_borrowing(future, self.next_id(), spawned_at) },
        };
        self.root_over.set(false);
        root.handle.header().set(Flags::ROOT);
        drive(&|| root.handle.is_finished());
        self.end_now(root.handle.task());
        root.handle.result()
    }

    /// As [`spawn`](Scheduler::spawn), for a future that borrows.
    ///
    /// # Safety
    ///
    /// Before what the future or its output borrows expires, the caller has
    /// ended the task by [`end_now`](Scheduler::end_now), and dropped the handle, with `ROOT`
    /// set: otherwise the output may be dropped later.
    #[inline]
    pub(crate) unsafe fn spawn_borrowing<F: Future>(
        &self,
        future: F,
        id: Id,
        spawned_at: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        let task = RawTask::new(future, self.remote.share(), id, spawned_at);
        self.counts.spawned.set(self.counts.spawned.get() + 1);
        // SAFETY: the task was just made, and is live.
        unsafe { self.live.insert(task) };
        // SAFETY: it was made with `JOINED` set, for the one handle.
        let handle = unsafe { JoinHandle::new(task) };
        if self.closed.get() {
            self.refuse(task);
        } else {
            // SAFETY: it was made with `QUEUED` set.
            unsafe { self.ready.push(task) };
        }
        handle
    }

    /// Ends a task that was made after the shutdown. A destructor may spawn a task whose
    /// destructor spawns a task, and so on: if too many are nested, `shut_down` ends the
    /// task, while it runs.
    #[cold]
    fn refuse(&self, task: RawTask) {
        // SAFETY: the handle keeps the task, which was never put in the queue.
        unsafe { task.header() }.clear(Flags::QUEUED);
        let level = Level::enter();
        if level.is_some() || !self.is_ending.get() {
            self.end_now(task);
        }
    }

    /// Puts the task last in the queue, unless it is there, or over.
    ///
    /// # Safety
    ///
    /// The task is of this set, and a reference of the caller's keeps it; this
    /// is the owner's thread.
    #[inline]
    pub(crate) unsafe fn make_ready(&self, task: RawTask, abort: bool) {
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
            // SAFETY: `QUEUED` was set just now.
            unsafe { self.ready.push(task) };
        }
    }

    /// Runs tasks that are ready, those that have been so for longest first, but
    /// not more than `most`, and none once the root is over. Returns whether
    /// there is nothing more to run now.
    ///
    /// One landing place for the panics of all, and not one for each, as a poll
    /// is often shorter than setting that up.
    #[expect(
        clippy::inline_always,
        reason = "one caller is in every turn, the other must not make it a call there"
    )]
    #[inline(always)]
    pub(crate) fn run_ready(&self, most: u32) -> bool {
        let Counts { polls, left, .. } = &self.counts;
        polls.set(polls.get() + u64::from(most));
        left.set(most);
        let none_left = loop {
            match catch_unwind(AssertUnwindSafe(|| self.run_some())) {
                Ok(none_left) => break none_left,
                Err(payload) => {
                    self.fail_current(payload);
                    if self.root_over.take() {
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

    /// As [`run_ready`](Scheduler::run_ready), but one task.
    #[cold]
    pub(crate) fn run_one(&self) -> bool {
        self.run_ready(1)
    }

    /// As [`run_ready`](Scheduler::run_ready), for as many tasks as are left of
    /// the slice; but lets the panic of a poll out, with the task still `RUNNING`
    /// and current.
    #[inline]
    fn run_some(&self) -> bool {
        let left = &self.counts.left;
        while let Some(more) = left.get().checked_sub(1) {
            let Some(task) = self.ready.pop() else {
                return true;
            };
            left.set(more);
            // SAFETY: `QUEUED` keeps the task until it is disowned.
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
                // SAFETY: live and not closing, and set running just now.
                match unsafe { Running::new(task) }.poll() {
                    Polled::Ended(ended) => self.complete(ended),
                    Polled::Pending(running) => {
                        running.pause();
                        continue;
                    }
                }
            }
            if self.root_over.take() {
                return true;
            }
        }
        !self.has_ready()
    }

    /// Runs a task, which was set running just now, and of which one of `SLOW_PATH` is set.
    /// Lets the panic of a poll out.
    #[cold]
    fn run_slow_path(&self, task: RawTask) {
        // SAFETY: `RUNNING` keeps the task.
        if unsafe { task.header() }.has(Flags::FLUSHING) {
            // SAFETY: live and closing, and set running just now.
            self.close(unsafe { Ended::closing(task) });
        } else {
            // SAFETY: live and not closing, and set running just now.
            self.poll_special(unsafe { Running::new(task) });
        }
    }

    /// Ends the task whose poll panicked.
    #[cold]
    fn fail_current(&self, payload: Box<dyn Any + Send>) {
        let Some(task) = self.current.get() else {
            // Only the poll of a task lets a panic out, and then the task is current.
            resume_unwind(payload)
        };
        // SAFETY: `RUNNING` keeps the task.
        let header = unsafe { task.header() };
        let is_in_place =
            header.has(Flags::LIVE) && header.has(Flags::RUNNING) && !header.has(Flags::FLUSHING);
        if !is_in_place {
            // The stage may hold the outcome. Dropping that as a future would be
            // undefined behaviour.
            panics::abort();
        }
        let failure = Failure::panicked(self.meta(header), self.remote.unhandled(), payload);
        // SAFETY: the flags were looked at just now, and the panic has ended the call that
        // had the token.
        let running = unsafe { Running::new(task) };
        self.complete(running.end(failure));
    }

    /// Lets go of a running task whose outcome has just been stored, unless it
    /// has cleanups to run.
    #[inline(never)]
    pub(in crate::engine) fn complete(&self, ended: Ended) {
        if ended.header().has(Flags::HAS_CLEANUPS) {
            self.start_flushing(ended);
        } else {
            self.finish(ended);
        }
        // The task may have been freed.
        self.current.set(None);
    }

    /// Ends the run of a task whose outcome is in place, and its life.
    fn finish(&self, ended: Ended) {
        let header = ended.header();
        // SAFETY: a live task of this set, about to be live no more.
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

    /// What else there is to do for a few tasks that are over.
    #[cold]
    fn finish_special(&self, header: &Header) {
        if header.has(Flags::ROOT) {
            self.root_over.set(true);
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

    /// Ends a task at once, by cancelling it, unless it has ended or is running. Its
    /// cleanups are abandoned.
    fn end_now(&self, task: RawTask) {
        // SAFETY: a handle or `LIVE` keeps the task until it has ended.
        let header = unsafe { task.header() };
        assert!(self.owns(header.remote), "a task of another loop");
        if !header.has(Flags::LIVE) || header.has(Flags::RUNNING) {
            return;
        }
        header.set(Flags::RUNNING);
        let before = self.current.replace(Some(task));
        let ended = if header.has(Flags::FLUSHING) {
            // SAFETY: live and closing, and set running just now.
            unsafe { Ended::closing(task) }
        } else {
            // SAFETY: live and not closing, and set running just now.
            unsafe { Running::new(task) }.end(Failure::Cancelled)
        };
        self.abandon_cleanups(&ended);
        self.finish(ended);
        self.current.set(before);
    }

    /// Has a task of this set cancelled when its turn comes.
    fn abort(&self, task: &TaskRef) {
        assert!(self.owns(task.header().remote), "a task of another loop");
        // SAFETY: the reference keeps the task, which is of this set, and this is the
        // owner's thread.
        unsafe { self.make_ready(task.raw(), true) };
    }

    /// Aborts every task that is not the loop's own, oldest first.
    pub(crate) fn abort_all(&self) {
        for task in self.live.all().iter().rev() {
            if !task.header().has(Flags::HIDDEN) {
                self.abort(task);
            }
        }
    }

    /// Takes in the tasks that other threads woke or aborted.
    pub(crate) fn take_remote(&self) {
        for task in self.remote.take() {
            let task = RawTask::from_pointer(task);
            // SAFETY: the inbox's reference keeps the task, and is ours now.
            let abort = unsafe { task.header() }.state.clear_scheduled();
            self.counts.posted.set(self.counts.posted.get() + 1);
            // SAFETY: likewise; only tasks of this set are in its inbox.
            unsafe { self.make_ready(task, abort) };
            // SAFETY: the reference that the inbox had.
            unsafe { task.release() };
        }
    }

    /// Drops every future, and refuses new ones.
    ///
    /// The destructors may spawn, wake and abort as they like.
    pub(crate) fn shut_down(&self) {
        if self.closed.replace(true) {
            // What still lives is being ended further up the stack.
            return;
        }
        for task in self.remote.close() {
            let task = RawTask::from_pointer(task);
            // SAFETY: the inbox's reference keeps the task, and is ours now.
            unsafe { task.header() }.state.clear_scheduled();
            // SAFETY: the reference that the inbox had.
            unsafe { task.release() };
        }
        // A task is running if its poll has called `exit`, which drops the thread-locals
        // of this thread, a runtime among them. The rest of that poll never runs.
        self.is_ending.set(true);
        while let Some(task) = self.live.first_at_rest() {
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

    /// Counts the share of a task as given back, if it is of this set.
    #[inline]
    pub(crate) fn unshare(&self, remote: NonNull<Remote>) -> bool {
        let ours = self.owns(remote);
        if ours {
            self.remote.unshare();
        }
        ours
    }
}
