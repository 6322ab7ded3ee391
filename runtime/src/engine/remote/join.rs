//! Handles to tasks and blocking work that were sent to a runtime: to wait for their
//! output, and to abort them.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::engine::id::Id;
use crate::engine::nesting::{self, Level};
use crate::engine::remote::outcome::{AnyOutcomeSlot, OutcomeSlot};
use crate::engine::remote::shared::Shared;
use crate::engine::task::budget;
use crate::engine::task::error::JoinError;

/// A handle to a task on another thread's runtime, or to blocking work, and its output.
///
/// It is like a [`JoinHandle`](crate::task::JoinHandle), but may be sent, shared, and
/// awaited on any executor. Awaiting it returns the output of the task, or a
/// [`JoinError`] if the task was aborted, panicked, or its runtime was dropped first.
/// **Dropping it detaches the task**, which continues to run, and its output is
/// dropped.
///
/// # Cancel safety
///
/// Cancel safe: awaiting `&mut handle` and dropping that await loses nothing.
///
/// # Panics
///
/// Panics if it is polled again after it has returned the output.
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
    slot: Arc<OutcomeSlot<T>>,
    abort: RemoteAbortHandle,
    /// The loop to which a panic is sent if this handle is dropped without taking it.
    home: Arc<Shared>,
    spawned_at: &'static Location<'static>,
}

// A panic cannot leave a half-written output for the handle to return.
impl<T> UnwindSafe for RemoteJoinHandle<T> {}
impl<T> RefUnwindSafe for RemoteJoinHandle<T> {}

impl<T> RemoteJoinHandle<T> {
    pub(super) fn new(
        slot: Arc<OutcomeSlot<T>>,
        home: Arc<Shared>,
        spawned_at: &'static Location<'static>,
    ) -> Self
    where
        T: Send + 'static,
    {
        let abort = RemoteAbortHandle {
            target: Arc::clone(&slot) as Arc<dyn AnyOutcomeSlot>,
        };
        Self {
            slot,
            abort,
            home,
            spawned_at,
        }
    }

    /// Aborts the task.
    ///
    /// Its future is dropped on its loop, and awaiting the handle then returns an error
    /// whose [`is_cancelled`](JoinError::is_cancelled) is true.
    ///
    /// A task that has finished, or that returns before the loop gets to abort it, is
    /// not affected. Blocking work that waits for a thread is dropped at once; blocking
    /// work that runs continues, and awaiting the handle returns its output.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// Returns a handle that can abort the task.
    #[must_use]
    pub fn abort_handle(&self) -> RemoteAbortHandle {
        self.abort.clone()
    }

    /// Returns whether the task has finished, so that awaiting the handle does not
    /// wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.slot.id()
    }

    /// Like `poll`, but does not spend the task's budget.
    pub(crate) fn poll_outcome(&self, cx: &Context<'_>) -> Poll<Result<T, JoinError>> {
        self.slot.poll(cx)
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(budget::poll_proceed(cx));
        self.slot.poll(cx)
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

/// Drops the output, or sends a panic of the task to its loop.
fn give_up(slot: &dyn AnyOutcomeSlot, home: &Arc<Shared>, spawned_at: &'static Location<'static>) {
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

/// A handle that can abort the task or blocking work of a [`RemoteJoinHandle`].
///
/// It does not keep the task alive, and dropping it does nothing.
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
    target: Arc<dyn AnyOutcomeSlot>,
}

impl UnwindSafe for RemoteAbortHandle {}
impl RefUnwindSafe for RemoteAbortHandle {}

impl RemoteAbortHandle {
    /// Aborts the task, like [`RemoteJoinHandle::abort`].
    pub fn abort(&self) {
        self.target.abort();
    }

    /// Returns whether the task has finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.target.is_finished()
    }

    /// Returns the id of the task.
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
