//! [`TaskMeta`]: what the runtime reports about a task.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::engine::id::Id;

/// A description of a task: its id, its name if it has one, and where it was spawned.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = coreloop::Runtime::new()?;
/// runtime.spawn(std::future::pending::<()>());
/// let report = runtime.shutdown(Duration::ZERO);
/// let task = &report.tasks()[0];
/// assert_eq!(task.name(), None);
/// assert_eq!(task.spawned_at().file(), file!());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskMeta {
    pub(crate) id: Id,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl TaskMeta {
    pub(crate) fn nameless(id: Id, spawned_at: &'static Location<'static>) -> Self {
        Self {
            id,
            name: None,
            spawned_at,
        }
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns the name of the task, if it has one.
    ///
    /// A name is set by [`task::Builder::name`](crate::task::Builder::name).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns where the task was spawned, or where its `block_on` was called.
    #[must_use]
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }
}

impl fmt::Display for TaskMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.name {
            Some(name) => write!(f, "task {id} {name:?}")?,
            None => write!(f, "task {id}")?,
        }
        write!(f, " spawned at {}", self.spawned_at)
    }
}
