//! [`SlowPoll`]: the report of a poll that took too long, and so delayed the whole loop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::panics::{self, UserValue};
use crate::engine::report;
use crate::engine::report::task_meta::TaskMeta;

/// A poll of a task that took too long.
///
/// The limit is set by [`Builder::slow_poll`](crate::runtime::Builder::slow_poll).
///
/// While it lasted, nothing else ran on the loop: the poll computed for long, or called
/// something that blocks the thread. A long computation should await
/// [`consume_budget`](crate::task::consume_budget) now and then; a blocking call should
/// run on [another thread](crate::task::spawn_blocking).
#[derive(Debug, Clone)]
pub struct SlowPoll {
    task: TaskMeta,
    elapsed: Duration,
}

impl SlowPoll {
    /// Returns the task that was polled.
    #[must_use]
    pub fn task(&self) -> &TaskMeta {
        &self.task
    }

    /// Returns how long the poll took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for SlowPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, elapsed } = self;
        write!(f, "a poll of {task} took {elapsed:?}")
    }
}

/// The user's hook for slow polls.
pub(super) type Hook = Arc<dyn Fn(&SlowPoll) + Send + Sync>;

/// Detects slow polls.
#[derive(Clone)]
pub(crate) struct SlowPollMonitor {
    pub(crate) limit: Duration,
    pub(crate) hook: UserValue<Hook>,
}

impl SlowPollMonitor {
    /// Reports the poll if it was too slow. Returns whether it was.
    pub(crate) fn report_if_slow(&self, task: TaskMeta, elapsed: Duration) -> bool {
        if elapsed < self.limit {
            return false;
        }
        let slow = SlowPoll { task, elapsed };
        // Both may run user code: a hook, or a subscriber of `tracing`.
        panics::caught(|| match self.hook.get() {
            Some(hook) => hook(&slow),
            None => report::report_slow_poll(&slow),
        });
        true
    }
}

impl fmt::Debug for SlowPollMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowPollMonitor")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
