//! [`Count`]: the number of jobs. While there are any, a paused clock does not move.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::remote::shared::Shared;

/// A flag that is set once the loop has read the number, and never cleared. The loop may park
/// until the last job has finished, so the thread of that job has to wake it.
const WATCHED: usize = 1;

/// The unit in which jobs are counted, above the flag.
const JOB: usize = 2;

/// The number of jobs in the queue or running, whose outcomes may still wake tasks.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// Returns the number of jobs. Those that are not counted any more have woken their tasks.
    /// From now on the loop is woken when the last job has finished.
    pub(super) fn watch(&self) -> usize {
        self.0.fetch_or(WATCHED, Ordering::AcqRel) / JOB
    }

    fn enter(&self) {
        self.0.fetch_add(JOB, Ordering::Relaxed);
    }

    /// Subtracts a job. Returns whether it was the last one and the loop has to be woken.
    fn leave(&self) -> bool {
        self.0.fetch_sub(JOB, Ordering::AcqRel) == JOB | WATCHED
    }
}

/// Counts a job until this is dropped, which is after the outcome was sent.
pub(crate) struct CountedJob {
    shared: Arc<Shared>,
}

impl CountedJob {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.pool.count.enter();
        Self { shared }
    }
}

impl Drop for CountedJob {
    fn drop(&mut self) {
        if self.shared.pool.count.leave() {
            self.shared.wake_loop();
        }
    }
}
