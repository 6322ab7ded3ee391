//! [`Report`]: what a shutdown had to leave undone.

use std::fmt;

use crate::runtime::TaskMeta;

/// What [`Runtime::shutdown`](crate::Runtime::shutdown) had to abandon.
///
/// It prints as one line for each task, and can be asked for them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = coreloop_runtime::Runtime::new()?;
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
}

impl Report {
    /// Whether everything was over in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks that were not over and so were dropped, in the order in which
    /// they were spawned.
    #[must_use]
    pub fn tasks(&self) -> &[TaskMeta] {
        &self.tasks
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
        Ok(())
    }
}
