//! The failures of the tasks of a group.

use std::error::Error;
use std::fmt;

use crate::engine::report::task_meta::TaskMeta;

/// The reason why a task of a [`TaskGroup`](super::TaskGroup) returned no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberError<E> {
    /// The task returned this error. Only in a supervisor; any other group passes errors
    /// to [`join`](super::TaskGroup::join).
    Failed(E),
    /// The task was aborted, or returned an error in a group that is not a supervisor.
    Cancelled,
    /// The task panicked.
    Panicked,
}

impl<E: fmt::Display> fmt::Display for MemberError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the task was cancelled with its group"),
            Self::Panicked => f.write_str("the task panicked"),
        }
    }
}

impl<E: Error> Error for MemberError<E> {}

/// The maximum number of failures that a supervisor keeps.
const MAX_KEPT: usize = 100;

/// The failures of a group so far, in the order in which they occurred.
pub(super) struct Failures<E> {
    kept: Vec<(TaskMeta, E)>,
    /// The number of failures that were not kept.
    omitted: usize,
}

impl<E> Default for Failures<E> {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            omitted: 0,
        }
    }
}

impl<E> Failures<E> {
    /// Keeps an error, or returns it if a supervisor already has [`MAX_KEPT`]: its tasks
    /// may fail for as long as it runs, so the list needs a bound.
    pub(super) fn push(&mut self, task: TaskMeta, error: E, supervises: bool) -> Option<E> {
        if supervises && self.kept.len() == MAX_KEPT {
            self.omitted += 1;
            return Some(error);
        }
        self.kept.push((task, error));
        None
    }
}

/// The failures of a [`TaskGroup`](super::TaskGroup): the first task that failed, the
/// tasks that failed after it, and their errors.
///
/// To propagate only the first error with `?`, use
/// [`into_first`](GroupError::into_first).
#[derive(Debug)]
pub struct GroupError<E> {
    first: (TaskMeta, E),
    others: Vec<(TaskMeta, E)>,
    omitted: usize,
}

impl<E> GroupError<E> {
    /// Returns `None` if no task failed.
    pub(super) fn of(failures: Failures<E>) -> Option<Self> {
        let omitted = failures.omitted;
        let mut kept = failures.kept.into_iter();
        let first = kept.next()?;
        Some(Self {
            first,
            others: kept.collect(),
            omitted,
        })
    }

    /// Returns the error of the task that failed first.
    pub fn first(&self) -> &E {
        &self.first.1
    }

    /// Returns the task that failed first.
    pub fn task(&self) -> &TaskMeta {
        &self.first.0
    }

    /// Returns the tasks that failed after the first, with their errors, in that order.
    pub fn others(&self) -> &[(TaskMeta, E)] {
        &self.others
    }

    /// Returns the number of tasks that failed after these and whose errors were dropped.
    ///
    /// A [supervisor](super::TaskGroup::supervisor) keeps the first 100 errors, and any
    /// other group keeps all.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Converts this into the error of the task that failed first.
    #[must_use]
    pub fn into_first(self) -> E {
        self.first.1
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (task, error) = &self.first;
        write!(f, "{task} failed: {error}")?;
        match self.others.len() + self.omitted {
            0 => Ok(()),
            count => write!(f, " (and {count} more)"),
        }
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.first.1)
    }
}
