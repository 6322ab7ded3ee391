//! What became of a cleanup that did not end well.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::task::meta::TaskMeta;

/// A cleanup that was not done: it panicked, took longer than it may, or there
/// was nobody left to run it.
///
/// Nobody waits for a cleanup who could be told, so this goes to the hook of
/// [`Builder::on_cleanup_failure`](crate::runtime::Builder::on_cleanup_failure),
/// or is printed. What a [shutdown](crate::Runtime::shutdown) abandons is in its
/// [`Report`](crate::runtime::Report) instead.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::defer;
/// use coreloop::runtime::Builder;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// # fn main() -> std::io::Result<()> {
/// static TOLD: AtomicBool = AtomicBool::new(false);
/// let runtime = Builder::new()
///     .on_cleanup_failure(|failure| {
///         assert!(failure.is_panic());
///         assert_eq!(failure.place().file(), file!());
///         TOLD.store(true, Ordering::Relaxed);
///     })
///     .build()?;
/// runtime.block_on(async {
///     let _guard = defer(async { panic!("no goodbye") });
/// });
/// assert!(TOLD.load(Ordering::Relaxed));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CleanupFailure {
    pub(in crate::engine) task: Option<TaskMeta>,
    pub(in crate::engine) place: &'static Location<'static>,
    pub(in crate::engine) reason: Reason,
}

#[derive(Debug, Clone)]
pub(crate) enum Reason {
    Panicked(Option<String>),
    TimedOut(Duration),
    Abandoned,
}

impl CleanupFailure {
    /// The task that it was to run in, if there was one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskMeta> {
        self.task.as_ref()
    }

    /// Where the guard was made, or the bracket.
    #[must_use]
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }

    /// Whether it panicked. The panic hook has told of that too.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.reason, Reason::Panicked(_))
    }

    /// Whether it took longer than
    /// [`Builder::cleanup_budget`](crate::runtime::Builder::cleanup_budget).
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.reason, Reason::TimedOut(_))
    }

    /// Whether there was no task or no time to run it to its end: the runtime
    /// was dropped, or there was none on that thread.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        matches!(self.reason, Reason::Abandoned)
    }
}

impl fmt::Display for CleanupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place;
        match &self.reason {
            Reason::Panicked(Some(text)) => {
                write!(
                    f,
                    "the cleanup made at {place} panicked with message {text:?}"
                )
            }
            Reason::Panicked(None) => write!(f, "the cleanup made at {place} panicked"),
            Reason::TimedOut(limit) => {
                write!(
                    f,
                    "the cleanup made at {place} was not over after {limit:?}"
                )
            }
            Reason::Abandoned => write!(f, "the cleanup made at {place} was abandoned"),
        }?;
        match &self.task {
            Some(task) => write!(f, " in {task}"),
            None => Ok(()),
        }
    }
}

/// What to do with a cleanup that failed.
pub(crate) type Hook = Arc<dyn Fn(&CleanupFailure) + Send + Sync>;
