//! How a pool ends.

use std::time::Duration;

use coreloop_runtime::time::{Instant, timeout_at};

use super::Pool;
use super::core::Core;

impl Core {
    /// Waits until all workers have ended.
    pub(crate) async fn all_ended(&self) {
        loop {
            let changed = self.changed.notified();
            if self.links().is_empty() {
                return;
            }
            changed.await;
        }
    }
}

/// What [`Pool::shutdown`] or [`Executor::shutdown`](crate::Executor::shutdown) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many jobs finished before the time had passed.
    pub done: usize,
    /// How many jobs never ran.
    pub dropped: usize,
    /// How many jobs ran when the time had passed, and were killed.
    pub killed: usize,
    /// How many jobs ran when the time had passed, and may still run, because a thread cannot
    /// be killed. The jobs of a pool are never among them.
    pub abandoned: usize,
}

impl Pool {
    /// Accepts no more jobs. Those that were accepted still run, and then the workers end.
    ///
    /// A job that is submitted later fails with an error for which
    /// [`is_shut_down`](crate::JobError::is_shut_down) returns `true`. So does one whose
    /// `submit` waits for room.
    pub fn close(&self) {
        self.core.close();
    }

    /// Returns whether the pool accepts no more jobs.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.core.phase() > super::core::Phase::Open
    }

    /// Waits until the pool was closed, and all its workers have ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn join(&self) {
        loop {
            let changed = self.core.changed.notified();
            // Jobs without a worker wait until the next one may be started.
            let is_idle = self.core.dispatcher.borrow().is_empty();
            if self.is_closed() && is_idle && self.core.links().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Closes the pool, lets its jobs finish until `timeout` has passed, then fails the jobs
    /// that wait and kills the workers of those that run. Returns when all workers have ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the pool stays closed. If the future is dropped before the time has
    /// passed, nothing is killed.
    pub async fn shutdown(&self, timeout: Duration) -> Report {
        let before = self.finished();
        self.close();
        let deadline = Instant::now().checked_add(timeout);
        match deadline {
            // An elapsed time is not an error here.
            Some(deadline) => drop(timeout_at(deadline, self.idle()).await),
            None => self.idle().await,
        }
        // Counted after the last result, and before the rest is ended.
        let done = self.finished() - before;
        let (dropped, killed) = self.core.stop();
        self.join().await;
        Report {
            done,
            dropped,
            killed,
            abandoned: 0,
        }
    }

    /// The number of jobs that have an outcome.
    fn finished(&self) -> usize {
        let counters = &self.core.counters;
        let finished = counters.done.get() + counters.failed.get();
        usize::try_from(finished).unwrap_or(usize::MAX)
    }

    /// Waits until no job is left.
    async fn idle(&self) {
        loop {
            let changed = self.core.changed.notified();
            if self.core.dispatcher.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }
}
