//! [`Builder`]: spawning a task with a name.

use std::io;
use std::panic::Location;

use crate::engine::core::context;
use crate::engine::task::join::JoinHandle;
use crate::engine::task::spawn_options::SpawnOptions;

/// A builder that spawns a task with a name.
///
/// The name appears wherever the runtime mentions the task: in the report of a
/// [shutdown](crate::Runtime::shutdown), in the warning about a [slow
/// poll](crate::runtime::Builder::slow_poll), and in the report of a panic that was not
/// joined.
///
/// # Examples
///
/// ```
/// use coreloop::task;
///
/// # coreloop::block_on(async {
/// let handle = task::Builder::new()
///     .name("accept")
///     .spawn(async { task::name().unwrap().to_string() })?;
/// assert_eq!(handle.await?, "accept");
/// # Ok::<(), std::io::Error>(())
/// # })
/// # .unwrap();
/// ```
#[derive(Debug, Default, Clone, Copy)]
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct Builder<'a> {
    name: Option<&'a str>,
}

impl<'a> Builder<'a> {
    /// Creates a builder with the settings of [`spawn`](crate::spawn): no name.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Sets the name of the task. Several tasks may have the same name.
    pub fn name(self, name: &'a str) -> Self {
        Builder { name: Some(name) }
    }

    /// Spawns a task on the current runtime, which drives `future`.
    ///
    /// # Errors
    ///
    /// Never returns an error at present; the signature is the same as tokio's.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, like [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
    {
        let spawned_at = Location::caller();
        let spawned = context::spawn_on_current(|tasks| {
            tasks.spawn(future, SpawnOptions::at(spawned_at).with_name(self.name))
        });
        match spawned {
            Some(handle) => Ok(handle),
            None => context::missing("task::Builder::spawn"),
        }
    }
}
