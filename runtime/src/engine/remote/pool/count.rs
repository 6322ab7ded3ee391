//! How many jobs there are, for a clock that waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::remote::shared::Shared;

/// Set once the loop has asked, and never cleared: it may be asleep until the
/// last job is over, so whoever ends that has to say so.
const WATCHED: usize = 1;

/// One job.
const JOB: usize = 2;

/// Jobs in the queue or running, whose outcome may yet wake a task.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// How many jobs there are. The wakes of all others have been sent, and the
    /// loop is nudged when the last one is over.
    pub(crate) fn watch(&self) -> usize {
        self.0.fetch_or(WATCHED, Ordering::AcqRel) / JOB
    }

    fn enter(&self) {
        self.0.fetch_add(JOB, Ordering::Relaxed);
    }

    /// Whether the loop wants to hear of it.
    fn leave(&self) -> bool {
        self.0.fetch_sub(JOB, Ordering::AcqRel) == JOB | WATCHED
    }
}

/// Counts a job until it is dropped, which is after its outcome was sent.
pub(crate) struct Counted {
    shared: Arc<Shared>,
}

impl Counted {
    pub(crate) fn new(shared: Arc<Shared>) -> Counted {
        shared.pool.count.enter();
        Counted { shared }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.shared.pool.count.leave() {
            self.shared.nudge();
        }
    }
}
