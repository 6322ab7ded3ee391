//! The warning when a poll takes long, and with it the whole loop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::panics::{self, Foreign};
use crate::engine::report;
use crate::engine::task::meta::TaskMeta;

/// A poll of a task that took longer than
/// [`Builder::slow_poll`](crate::runtime::Builder::slow_poll) allows.
///
/// While it lasted, nothing else ran on the loop: it computed for long, or
/// called something that blocks the thread. The one wants an await on
/// [`consume_budget`](crate::task::consume_budget) now and then, the other a
/// thread of its own.
#[derive(Debug, Clone)]
pub struct SlowPoll {
    task: TaskMeta,
    elapsed: Duration,
}

impl SlowPoll {
    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskMeta {
        &self.task
    }

    /// How long the poll took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for SlowPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlowPoll { task, elapsed } = self;
        write!(f, "a poll of {task} took {elapsed:?}")
    }
}

/// What to do with a slow poll.
pub(crate) type Hook = Arc<dyn Fn(&SlowPoll) + Send + Sync>;

/// Looks for slow polls.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) limit: Duration,
    pub(crate) hook: Foreign<Hook>,
}

impl Watch {
    /// Whether a poll was too long; then it has been told.
    pub(crate) fn tell(&self, task: TaskMeta, elapsed: Duration) -> bool {
        if elapsed < self.limit {
            return false;
        }
        let slow = SlowPoll { task, elapsed };
        // A subscriber of `tracing` is the user's too.
        panics::caught(|| match self.hook.get() {
            Some(hook) => hook(&slow),
            None => report::report_slow_poll(&slow),
        });
        true
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
