//! [`Report`]: what a shutdown had to leave undone.

use std::fmt;

use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::task::meta::TaskMeta;

/// What [`Runtime::shutdown`](crate::Runtime::shutdown) had to abandon.
///
/// It prints as a line for each task, piece of blocking work and cleanup, and can be
/// asked for them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = coreloop::Runtime::new()?;
/// runtime.spawn(async {});
/// let report = runtime.shutdown(Duration::from_secs(1));
/// assert!(report.is_clean(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "says which tasks were cut off"]
pub struct Report {
    pub(crate) tasks: Vec<TaskMeta>,
    pub(crate) blocking: Vec<TaskMeta>,
    pub(crate) cleanups: Vec<CleanupFailure>,
}

impl Report {
    /// Whether everything was over in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.tasks.is_empty() && self.blocking.is_empty() && self.cleanups.is_empty()
    }

    /// The tasks that were not over and so were dropped, in the order in which
    /// they were spawned.
    #[must_use]
    pub fn tasks(&self) -> &[TaskMeta] {
        &self.tasks
    }

    /// Blocking work that was not over: what ran goes on, on a thread that
    /// nobody waits for; what still waited for a thread was dropped.
    #[must_use]
    pub fn blocking(&self) -> &[TaskMeta] {
        &self.blocking
    }

    /// [Cleanups](crate::cleanup) that there was no time left for, in the order
    /// in which they were given up.
    #[must_use]
    pub fn cleanups(&self) -> &[CleanupFailure] {
        &self.cleanups
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("everything was over in time");
        }
        let mut separator = "";
        for task in &self.tasks {
            write!(f, "{separator}abandoned {task}")?;
            separator = "\n";
        }
        for work in &self.blocking {
            let place = work.spawned_at();
            write!(f, "{separator}left behind blocking work spawned at {place}")?;
            separator = "\n";
        }
        for cleanup in &self.cleanups {
            write!(f, "{separator}{cleanup}")?;
            separator = "\n";
        }
        Ok(())
    }
}
