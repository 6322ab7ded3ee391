//! What failed in a group.

use std::error::Error;
use std::fmt;

use crate::engine::task::meta::TaskMeta;

/// Why a task of a [`TaskGroup`](super::TaskGroup) gave no output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberError<E> {
    /// It returned this error. In a supervisor only: that of another group goes
    /// to [`join`](super::TaskGroup::join).
    Failed(E),
    /// It was cancelled, or failed in a group that is no supervisor.
    Cancelled,
    /// It panicked.
    Panicked,
}

impl<E: fmt::Display> fmt::Display for MemberError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberError::Failed(error) => error.fmt(f),
            MemberError::Cancelled => f.write_str("the task was cancelled with its group"),
            MemberError::Panicked => f.write_str("the task panicked"),
        }
    }
}

impl<E: Error> Error for MemberError<E> {}

/// How many failures a supervisor keeps.
const MOST: usize = 100;

/// What failed so far, first to last.
pub(super) struct Failures<E> {
    kept: Vec<(TaskMeta, E)>,
    /// How many more there were.
    omitted: usize,
}

impl<E> Default for Failures<E> {
    fn default() -> Failures<E> {
        Failures {
            kept: Vec::new(),
            omitted: 0,
        }
    }
}

impl<E> Failures<E> {
    /// Keeps an error, or gives back one too many of a supervisor, whose tasks may fail
    /// for as long as it lives.
    pub(super) fn push(&mut self, task: TaskMeta, error: E, supervises: bool) -> Option<E> {
        if supervises && self.kept.len() == MOST {
            self.omitted += 1;
            return Some(error);
        }
        self.kept.push((task, error));
        None
    }
}

/// Tasks of a [`TaskGroup`](super::TaskGroup) that failed: the first, and those
/// that failed before all had ended.
///
/// It is this, whether one failed or several. For `?` there is
/// [`into_first`](GroupError::into_first).
#[derive(Debug)]
pub struct GroupError<E> {
    first: (TaskMeta, E),
    others: Vec<(TaskMeta, E)>,
    omitted: usize,
}

impl<E> GroupError<E> {
    /// None if nothing failed.
    pub(super) fn of(failures: Failures<E>) -> Option<GroupError<E>> {
        let omitted = failures.omitted;
        let mut kept = failures.kept.into_iter();
        let first = kept.next()?;
        Some(GroupError {
            first,
            others: kept.collect(),
            omitted,
        })
    }

    /// The error that came first.
    pub fn first(&self) -> &E {
        &self.first.1
    }

    /// The task that failed first.
    pub fn task(&self) -> &TaskMeta {
        &self.first.0
    }

    /// The tasks that failed after it, with their errors, in that order.
    pub fn others(&self) -> &[(TaskMeta, E)] {
        &self.others
    }

    /// How many more tasks failed after these, whose errors were dropped. A
    /// [supervisor](super::TaskGroup::supervisor) keeps the first 100, and any other
    /// group keeps all.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// The error that came first, alone.
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
