//! The handles of what was sent to a runtime: to its output, and to abort it.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::engine::nesting::{self, Level};
use crate::engine::remote::outcome::{Slot, Stoppable};
use crate::engine::remote::shared::Shared;
use crate::engine::task::budget;
use crate::engine::task::error::JoinError;
use crate::engine::task::id::Id;

/// A handle to a task on another thread's runtime, or to a runtime's blocking
/// work, and to the output.
///
/// It is what [`JoinHandle`](crate::task::JoinHandle) is to a task of one's own
/// loop, but may be sent, shared, and awaited on any executor. Awaiting it
/// gives what the task returned, or a [`JoinError`] if it was aborted,
/// panicked, or its runtime was dropped first. **Dropping it detaches the
/// task**, which goes on running with nobody to take its output.
///
/// # Cancel safety
///
/// Cancel safe: awaiting `&mut handle` and dropping that await loses nothing.
///
/// # Panics
///
/// When polled again after it gave the output.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = coreloop::Runtime::new()?;
/// let task = runtime.handle().spawn(|| async { 6 * 7 });
/// assert_eq!(runtime.block_on(task).unwrap(), 42);
/// # Ok(())
/// # }
/// ```
pub struct RemoteJoinHandle<T> {
    slot: Arc<Slot<T>>,
    abort: RemoteAbortHandle,
    /// Of the loop that a panic goes back to when nobody takes it.
    home: Arc<Shared>,
    spawned_at: &'static Location<'static>,
}

// The handle shows nothing of the output half done.
impl<T> UnwindSafe for RemoteJoinHandle<T> {}
impl<T> RefUnwindSafe for RemoteJoinHandle<T> {}

impl<T> RemoteJoinHandle<T> {
    pub(crate) fn new(
        slot: Arc<Slot<T>>,
        home: Arc<Shared>,
        spawned_at: &'static Location<'static>,
    ) -> RemoteJoinHandle<T>
    where
        T: Send + 'static,
    {
        let abort = RemoteAbortHandle {
            target: Arc::clone(&slot) as Arc<dyn Stoppable>,
        };
        RemoteJoinHandle {
            slot,
            abort,
            home,
            spawned_at,
        }
    }

    /// Aborts the task: its future is dropped on its loop, and the handle then
    /// gives an error that [`is_cancelled`](JoinError::is_cancelled).
    ///
    /// A task that is over, or returns before its turn comes, is not changed.
    /// Blocking work is dropped, at once, if it waits for a thread; if it runs
    /// it goes on, and the handle gives what it returns.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// A handle that can abort the task.
    #[must_use]
    pub fn abort_handle(&self) -> RemoteAbortHandle {
        self.abort.clone()
    }

    /// Whether the task is over, and awaiting the handle would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }

    /// The id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.slot.id()
    }

    /// As `poll`, which is for tasks that have a budget.
    pub(crate) fn poll_outcome(&self, context: &Context<'_>) -> Poll<Result<T, JoinError>> {
        self.slot.poll(context)
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(budget::poll_proceed(context));
        self.slot.poll(context)
    }
}

impl<T> Drop for RemoteJoinHandle<T> {
    fn drop(&mut self) {
        let spawned_at = self.spawned_at;
        if let Some(_level) = Level::enter() {
            give_up(&*self.abort.target, &self.home, spawned_at);
        } else {
            let (target, home) = (Arc::clone(&self.abort.target), Arc::clone(&self.home));
            nesting::defer(move || give_up(&*target, &home, spawned_at));
        }
    }
}

/// Drops the output, and hands a panic of the task to its loop.
fn give_up(slot: &dyn Stoppable, home: &Arc<Shared>, spawned_at: &'static Location<'static>) {
    if let Some(panic) = slot.give_up() {
        home.rethrow(slot.id(), panic, spawned_at);
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJoinHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// A handle that can abort what a [`RemoteJoinHandle`] waits for.
///
/// It does not keep the task running, and dropping it does nothing.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = coreloop::Runtime::new()?;
/// let task = runtime.handle().spawn(std::future::pending::<()>);
/// let abort = task.abort_handle();
/// std::thread::spawn(move || abort.abort());
/// assert!(runtime.block_on(task).unwrap_err().is_cancelled());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteAbortHandle {
    target: Arc<dyn Stoppable>,
}

impl UnwindSafe for RemoteAbortHandle {}
impl RefUnwindSafe for RemoteAbortHandle {}

impl RemoteAbortHandle {
    /// Aborts the task, as [`RemoteJoinHandle::abort`] does.
    pub fn abort(&self) {
        self.target.abort();
    }

    /// Whether the task is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.target.is_over()
    }

    /// The id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.target.id()
    }
}

impl fmt::Debug for RemoteAbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteAbortHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
