//! The id and the name of the task that is running.

use std::sync::Arc;

use crate::engine::core::context;
use crate::engine::task::id::Id;

/// The id of the task that runs.
///
/// # Panics
///
/// Outside a task; see [`try_id`].
#[must_use]
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!("task::id() called outside a task; use task::try_id()"),
    }
}

/// The id of the task that runs, if one does.
#[inline]
#[must_use]
pub fn try_id() -> Option<Id> {
    context::with_running(|event_loop| event_loop.tasks.current()).flatten()
}

/// The name of the task that runs, if it was given one by
/// [`Builder::name`](super::Builder::name).
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
