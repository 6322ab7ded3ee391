//! [`Running`] and [`Ended`]: the share of a task that the loop holds while it is inside
//! the task, and what is known of the task's stage meanwhile.
//!
//! # Invariants
//!
//! 1. A token stands for the flag `RUNNING` of its task: it is made where the flag is
//!    set, and `pause` and `release`, which clear the flag, consume it. So the task outlives
//!    its token, and code that does not have the token cannot end the run.
//! 2. The future is in place while there is a `Running`, and the outcome while there is an
//!    `Ended`. There is one token for a task at a time, so only its holder touches the
//!    stage.
//! 3. User code may panic while there is a `Running`: the token is lost then, and the
//!    landing place, `Scheduler::fail_current`, makes another. No panic may pass an
//!    `Ended`, because the landing place would take the outcome for a future. User code
//!    runs in [`panics::caught`](crate::panics::caught) meanwhile, and a panic that
//!    gets past that aborts the process.
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

/// What became of a poll.
pub(crate) enum Polled {
    Pending(Running),
    Ended(Ended),
}

impl Running {
    /// # Safety
    ///
    /// On the loop's thread. The task is `LIVE` and not `FLUSHING`. `RUNNING` was set
    /// just now, or the token that stood for it was lost by a panic.
    #[inline]
    pub(crate) unsafe fn new(task: RawTask) -> Running {
        Running { task }
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: invariant 1 keeps the task, and this is the loop's thread.
        unsafe { self.task.header() }
    }

    /// A waker of the task, for as long as the token exists.
    pub(crate) fn waker(&self) -> Borrowed<'_> {
        // SAFETY: invariant 1 keeps the task.
        unsafe { waker::borrowed(self.task) }
    }

    /// Polls the future. Lets its panic out, and is lost with it.
    #[inline]
    pub(crate) fn poll(self) -> Polled {
        // SAFETY: invariants 1 and 2.
        if unsafe { self.task.poll() } {
            Polled::Ended(Ended::new(self.task))
        } else {
            Polled::Pending(self)
        }
    }

    /// Drops the future, and stores `failure`, or the panic of the future's destructor.
    pub(crate) fn end(self, failure: Failure) -> Ended {
        // SAFETY: invariants 1 and 2.
        unsafe { self.task.end(failure) };
        Ended::new(self.task)
    }

    /// Ends the run of a task that has to wait.
    #[inline]
    pub(crate) fn pause(self) {
        // `LIVE` keeps the task from here on.
        self.header().clear(Flags::RUNNING);
    }
}

impl Ended {
    #[inline]
    fn new(task: RawTask) -> Ended {
        Ended {
            task,
            guard: AbortOnPanic::begin(),
        }
    }

    /// The token of a task that has cleanups to run.
    ///
    /// # Safety
    ///
    /// On the loop's thread. The task is `LIVE` and `FLUSHING`, and `RUNNING` was set just
    /// now.
    pub(crate) unsafe fn closing(task: RawTask) -> Ended {
        Ended::new(task)
    }

    #[inline]
    pub(crate) fn task(&self) -> RawTask {
        self.task
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: invariant 1 keeps the task, and this is the loop's thread.
        unsafe { self.task.header() }
    }

    /// A waker of the task, for as long as the token exists.
    pub(crate) fn waker(&self) -> Borrowed<'_> {
        // SAFETY: invariant 1 keeps the task.
        unsafe { waker::borrowed(self.task) }
    }

    /// Ends the run of a task that has cleanups to run, or to wait for.
    pub(crate) fn pause(self) {
        self.header().set(Flags::FLUSHING);
        // `LIVE` keeps the task from here on.
        self.header().clear(Flags::RUNNING);
        self.guard.end();
    }

    /// Ends the run of a task that is no longer `LIVE`.
    #[inline]
    pub(crate) fn release(self) {
        self.header().clear(Flags::RUNNING);
        self.guard.end();
        // SAFETY: `RUNNING` was cleared just now, and the token is consumed.
        unsafe { self.task.disown() };
    }
}
