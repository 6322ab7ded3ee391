//! Tasks: futures that the loop drives.
//!
//! [`spawn`] makes a task of a future; the future may be `!Send`, as it stays
//! on the loop's thread. A [`JoinHandle`] waits for the output, or aborts.

pub mod coop;

mod builder;
mod current;
pub mod join_set;
mod local;
mod poll;
pub(crate) mod spawn_blocking;
mod thread_pool;
mod yield_now;

use std::panic::Location;

use crate::engine::core::context;
use crate::engine::task::spawn_options::SpawnOptions;

pub use crate::engine::id::Id;
pub use crate::engine::remote::join::{RemoteAbortHandle, RemoteJoinHandle};
pub use crate::engine::task::error::JoinError;
pub use crate::engine::task::join::{AbortHandle, JoinHandle};
pub use builder::Builder;
pub use coop::{Unconstrained, consume_budget, unconstrained};
pub use current::{id, name, try_id};
pub use join_set::JoinSet;
pub use local::{AccessError, LocalKey, TaskLocalFuture};
#[doc(hidden)]
pub use poll::{is_of_task, may_queue, poll_number};
pub use spawn_blocking::spawn_blocking;
#[doc(hidden)]
pub use thread_pool::{Refusal, ThreadPool, ThreadPoolOptions, ThreadPoolStats};
pub use yield_now::yield_now;

/// The futures of this module's types, under the path that tokio has for them.
pub mod futures {
    pub use super::local::TaskLocalFuture;
}

/// Spawns a task on the current runtime, which drives `future`.
///
/// The future does not start within this call, but when the loop first polls the task.
/// The future and its output may be `!Send`. Dropping the handle detaches the task.
///
/// # Panics
///
/// Panics outside a runtime. Call it in a task, or hold the guard of
/// [`Runtime::enter`](crate::Runtime::enter).
///
/// # Examples
///
/// ```
/// use std::{cell::Cell, rc::Rc};
///
/// # coreloop::block_on(async {
/// let count = Rc::new(Cell::new(0));
/// let shared = Rc::clone(&count);
/// let task = coreloop::spawn(async move { shared.set(1) });
/// task.await.unwrap();
/// assert_eq!(count.get(), 1);
/// # })
/// ```
#[inline]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let spawned_at = Location::caller();
    let spawned =
        context::spawn_on_current(|tasks| tasks.spawn(future, SpawnOptions::at(spawned_at)));
    match spawned {
        Some(handle) => handle,
        None => context::missing("spawn"),
    }
}

/// Spawns a task, like [`spawn`].
///
/// This is tokio's name for a task that stays on its thread.
///
/// # Panics
///
/// Panics outside a runtime.
#[inline]
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    spawn(future)
}

/// Spawns one of the runtime's own tasks, for the other crates of coreloop.
///
/// No list or report shows the task, and the end of the runtime does not wait for it.
/// Outside a runtime the future is dropped.
#[doc(hidden)]
#[track_caller]
pub fn spawn_hidden(future: impl Future<Output = ()> + 'static) {
    let spawned_at = Location::caller();
    context::spawn_on_current(|tasks| {
        let handle = tasks.spawn(future, SpawnOptions::at(spawned_at));
        tasks.hide(&handle);
    });
}
