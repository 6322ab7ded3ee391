//! [`Report`]: the work that a shutdown left unfinished.

use std::fmt;

use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::report::task_meta::TaskMeta;

/// The work that [`Runtime::shutdown`](crate::Runtime::shutdown) abandoned.
///
/// Its `Display` writes one line for each task, piece of blocking work and cleanup;
/// methods return them as lists.
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
#[must_use = "the report names what did not finish"]
pub struct Report {
    pub(crate) tasks: Vec<TaskMeta>,
    pub(crate) blocking: Vec<TaskMeta>,
    pub(crate) cleanups: Vec<CleanupFailure>,
}

impl Report {
    /// Returns whether everything finished in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.tasks.is_empty() && self.blocking.is_empty() && self.cleanups.is_empty()
    }

    /// Returns the tasks that had not finished and were dropped, in the order of
    /// spawning.
    #[must_use]
    pub fn tasks(&self) -> &[TaskMeta] {
        &self.tasks
    }

    /// Returns the blocking work that had not finished.
    ///
    /// Work that was running continues, on a thread that the shutdown does not wait
    /// for; work that was waiting for a thread was dropped.
    #[must_use]
    pub fn blocking(&self) -> &[TaskMeta] {
        &self.blocking
    }

    /// Returns the [cleanups](crate::cleanup) for which no time was left.
    ///
    /// They are in the order in which they were dropped.
    #[must_use]
    pub fn cleanups(&self) -> &[CleanupFailure] {
        &self.cleanups
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("everything finished in time");
        }
        let mut separator = "";
        for task in &self.tasks {
            write!(f, "{separator}abandoned {task}")?;
            separator = "\n";
        }
        for work in &self.blocking {
            let spawned_at = work.spawned_at();
            write!(
                f,
                "{separator}left behind blocking work spawned at {spawned_at}"
            )?;
            separator = "\n";
        }
        for cleanup in &self.cleanups {
            write!(f, "{separator}{cleanup}")?;
            separator = "\n";
        }
        Ok(())
    }
}
