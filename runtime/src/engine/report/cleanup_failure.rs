//! [`CleanupFailure`]: a cleanup that did not finish.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::report::task_meta::TaskMeta;

/// A cleanup that did not finish: it panicked, took too long, or could not be run.
///
/// No caller waits for a cleanup to receive its error, so the failure goes to the hook
/// of [`Builder::on_cleanup_failure`](crate::runtime::Builder::on_cleanup_failure), or
/// is printed. The cleanups that a [shutdown](crate::Runtime::shutdown) abandons are in
/// its [`Report`](crate::runtime::Report) instead.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::defer;
/// use coreloop::runtime::Builder;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// # fn main() -> std::io::Result<()> {
/// static REPORTED: AtomicBool = AtomicBool::new(false);
/// let runtime = Builder::new()
///     .on_cleanup_failure(|failure| {
///         assert!(failure.is_panic());
///         assert_eq!(failure.place().file(), file!());
///         REPORTED.store(true, Ordering::Relaxed);
///     })
///     .build()?;
/// runtime.block_on(async {
///     let _guard = defer(async { panic!("no goodbye") });
/// });
/// assert!(REPORTED.load(Ordering::Relaxed));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CleanupFailure {
    pub(in crate::engine) task: Option<TaskMeta>,
    pub(in crate::engine) created_at: &'static Location<'static>,
    pub(in crate::engine) reason: Reason,
}

/// Why a cleanup did not finish.
#[derive(Debug, Clone)]
pub(crate) enum Reason {
    /// With the message of the panic, if its payload is a string.
    Panicked(Option<String>),
    /// With the limit that the cleanup exceeded.
    TimedOut(Duration),
    Abandoned,
}

impl CleanupFailure {
    /// Returns the task in which the cleanup should have run, if there was one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskMeta> {
        self.task.as_ref()
    }

    /// Returns where the guard or the bracket was created.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.created_at
    }

    /// Returns whether the cleanup panicked. The panic hook was called for that too.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.reason, Reason::Panicked(_))
    }

    /// Returns whether the cleanup took longer than its time limit.
    ///
    /// The limit is
    /// [`Builder::cleanup_budget`](crate::runtime::Builder::cleanup_budget).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.reason, Reason::TimedOut(_))
    }

    /// Returns whether there was no task, or no time, to run the cleanup to its end.
    ///
    /// For instance, the runtime was dropped, or the thread had no runtime.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(self.reason, Reason::Abandoned)
    }
}

impl fmt::Display for CleanupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.created_at;
        match &self.reason {
            Reason::Panicked(Some(text)) => {
                write!(
                    f,
                    "the cleanup made at {location} panicked with message {text:?}"
                )
            }
            Reason::Panicked(None) => write!(f, "the cleanup made at {location} panicked"),
            Reason::TimedOut(limit) => {
                write!(
                    f,
                    "the cleanup made at {location} did not finish within {limit:?}"
                )
            }
            Reason::Abandoned => write!(f, "the cleanup made at {location} was abandoned"),
        }?;
        match &self.task {
            Some(task) => write!(f, " in {task}"),
            None => Ok(()),
        }
    }
}

/// The user's hook for cleanups that failed.
pub(crate) type Hook = Arc<dyn Fn(&CleanupFailure) + Send + Sync>;
