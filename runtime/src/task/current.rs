//! The id and the name of the task that is running.

use std::sync::Arc;

use crate::engine::core::context;
use crate::engine::id::Id;

/// Returns the id of the current task.
///
/// # Panics
///
/// Panics outside a task. Use [`try_id`] where there may be none.
#[must_use]
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("task::id() called outside a task; use task::try_id()"),
    }
}

/// Returns the id of the current task, or `None` outside a task.
#[inline]
#[must_use]
pub fn try_id() -> Option<Id> {
    context::with_running(|event_loop| event_loop.tasks.current()).flatten()
}

/// Returns the name of the current task, if it has one.
///
/// A name is set by [`Builder::name`](super::Builder::name).
///
/// # Examples
///
/// ```
/// use coreloop::task;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let task = task::Builder::new()
///     .name("greeter")
///     .spawn(async { task::name() })?;
/// assert_eq!(task.await?.as_deref(), Some("greeter"));
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub fn name() -> Option<Arc<str>> {
    context::with_running(|event_loop| event_loop.tasks.current_name()).flatten()
}
