//! [`Running`] and [`Ended`]: tokens of a task that is running. Their types say whether the
//! task's stage holds its future or its outcome.
//!
//! # Invariants
//!
//! 1. A token stands for the flag `RUNNING` of its task: it is made where the flag is
//!    set, and `pause` and `release`, which clear the flag, consume it. So the task outlives
//!    its token, and code that does not have the token cannot end the run.
//! 2. The future is in place while there is a `Running`, and the outcome while there is an
//!    `Ended`. There is one token for a task at a time, so only its holder touches the
//!    stage.
//! 3. User code may panic while there is a `Running`. The token is lost then, and
//!    `Scheduler::fail_current`, which handles the panic, makes another. No panic may unwind
//!    past an `Ended`, because `fail_current` would take the outcome for a future. While
//!    there is an `Ended`, user code runs in
//!    [`panics::caught`](crate::engine::panics::caught); a panic that gets past that drops
//!    the `Ended`, which aborts the process.
#![expect(
    unsafe_code,
    reason = "polls and ends the future of a task; see the invariants of `task`"
)]

use crate::engine::panics::AbortOnPanic;
use crate::engine::task::error::Failure;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::raw::RawTask;
use crate::engine::task::waker::{self, Borrowed};

/// A task that is `RUNNING` and whose future is in place.
#[must_use = "the task stays `RUNNING` for ever"]
pub(crate) struct Running {
    task: RawTask,
}

/// A task that is `RUNNING` and whose outcome is in place.
#[must_use = "the task stays `RUNNING` for ever"]
pub(crate) struct Ended {
    task: RawTask,
    guard: AbortOnPanic,
}

/// The result of a poll.
pub(crate) enum Polled {
    Pending(Running),
    Ended(Ended),
}

impl Running {
    /// # Safety
    ///
    /// On the owner's thread. The task is `LIVE` and not `FLUSHING`. `RUNNING` was set just
    /// now, or the token that stood for it was lost by a panic.
    #[inline]
    pub(super) unsafe fn new(task: RawTask) -> Self {
        Self { task }
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: invariant 1 keeps the task, and this is the owner's thread.
        unsafe { self.task.header() }
    }

    /// Returns a waker of the task, which is valid while the token exists.
    pub(crate) fn waker(&self) -> Borrowed<'_> {
        // SAFETY: invariant 1 keeps the task.
        unsafe { waker::borrowed(self.task) }
    }

    /// Polls the future. A panic of the future propagates, and the token is lost.
    #[inline]
    pub(crate) fn poll(self) -> Polled {
        // SAFETY: invariants 1 and 2.
        if unsafe { self.task.poll() } {
            Polled::Ended(Ended::new(self.task))
        } else {
            Polled::Pending(self)
        }
    }

    /// Drops the future, and stores `failure` as the outcome, or the panic of the future's
    /// destructor unless `failure` is a panic already.
    pub(crate) fn end(self, failure: Failure) -> Ended {
        // SAFETY: invariants 1 and 2.
        unsafe { self.task.end(failure) };
        Ended::new(self.task)
    }

    /// Ends the run of a task that is pending.
    #[inline]
    pub(crate) fn pause(self) {
        // `LIVE` keeps the task from here on.
        self.header().clear(Flags::RUNNING);
    }
}

impl Ended {
    #[inline]
    fn new(task: RawTask) -> Self {
        Self {
            task,
            guard: AbortOnPanic::begin(),
        }
    }

    /// Creates the token of a flushing task.
    ///
    /// # Safety
    ///
    /// On the owner's thread. The task is `LIVE` and `FLUSHING`, and `RUNNING` was set just
    /// now.
    pub(super) unsafe fn flushing(task: RawTask) -> Self {
        Self::new(task)
    }

    #[inline]
    pub(super) fn task(&self) -> RawTask {
        self.task
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: invariant 1 keeps the task, and this is the owner's thread.
        unsafe { self.task.header() }
    }

    /// Returns a waker of the task, which is valid while the token exists.
    pub(crate) fn waker(&self) -> Borrowed<'_> {
        // SAFETY: invariant 1 keeps the task.
        unsafe { waker::borrowed(self.task) }
    }

    /// Ends the run of a task that has cleanups left. The task is `FLUSHING` afterwards.
    pub(crate) fn pause(self) {
        self.header().set(Flags::FLUSHING);
        // `LIVE` keeps the task from here on.
        self.header().clear(Flags::RUNNING);
        self.guard.end();
    }

    /// Ends the last run of a task, which is no longer `LIVE`.
    #[inline]
    pub(super) fn release(self) {
        self.header().clear(Flags::RUNNING);
        self.guard.end();
        // SAFETY: `RUNNING` was cleared just now, and the token is consumed.
        unsafe { self.task.disown() };
    }
}
