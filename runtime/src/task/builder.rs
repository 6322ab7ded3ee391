//! [`Builder`]: how a task is to be.

use std::io;
use std::panic::Location;

use crate::engine::core::context;
use crate::engine::task::join::JoinHandle;

/// Spawns a task that has a name.
///
/// The name shows where the runtime speaks of the task: in the report of a
/// [shutdown](crate::Runtime::shutdown), in the warning of a
/// [slow poll](crate::runtime::Builder::slow_poll), and when it panicked and
/// nobody joined it.
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
    /// What [`spawn`](crate::spawn) uses: no name.
    pub fn new() -> Builder<'a> {
        Builder::default()
    }

    /// Names the task. Names need not differ.
    pub fn name(self, name: &'a str) -> Builder<'a> {
        Builder { name: Some(name) }
    }

    /// Makes a task of `future` on the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// None at present; the result is that of the same function in tokio.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
    {
        let spawned_at = Location::caller();
        let spawned = context::with_current_or_running(|event_loop, running| {
            event_loop.spawn_named(self.name, future, spawned_at, running)
        });
        match spawned {
            Some(handle) => Ok(handle),
            None => context::missing("task::Builder::spawn"),
        }
    }
}
