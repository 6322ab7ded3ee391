//! [`TaskGroup`]: tasks that are waited for, and aborted, together.
//!
//! # Invariants
//!
//! 1. A group has ended when all its tasks have: their futures were dropped, and
//!    their cleanups have run. Dropping a group aborts its tasks, and adds the wait for
//!    them to the cleanup queue of the task that dropped it.
//! 2. The group keeps nothing of a task that has ended except its failure.
//! 3. Nothing is borrowed while a task is spawned or aborted, or an error is
//!    dropped.

mod error;
mod member;
mod state;

use std::fmt;
use std::future::poll_fn;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use crate::engine::cancel::run::after_drop;
use crate::engine::core::context;
use crate::engine::task::spawn_options::SpawnOptions;

pub use crate::scope::group::error::{GroupError, MemberError};
pub use crate::scope::group::member::{MemberHandle, Started};

use crate::scope::group::member::{Member, OneValue};
use crate::scope::group::state::GroupState;

/// A group of tasks that are waited for together, and aborted together if one fails.
///
/// If a task returns an error or panics, the group aborts the others, which run their
/// cleanups; [`join`](TaskGroup::join) then returns the error, with the errors of tasks
/// that failed meanwhile. In a [`supervisor`](TaskGroup::supervisor) the other tasks
/// continue instead, and the handle of a task returns its error.
///
/// Dropping a group aborts its tasks. The task that dropped the group finishes after
/// them, as if the group were an [`AsyncGuard`](crate::cleanup::AsyncGuard).
///
/// The group keeps nothing of a task that has ended except its failure. So a server may
/// spawn a task for each connection into one group for as long as it runs, without
/// joining them:
///
/// ```
/// use coreloop::scope::TaskGroup;
/// use coreloop::task::yield_now;
///
/// # coreloop::block_on(async {
/// let mut group = TaskGroup::<()>::new();
/// for _connection in 0..1000 {
///     drop(group.spawn(async { Ok(()) }));
///     yield_now().await;
///     assert!(group.len() <= 1);
/// }
/// group.join().await.unwrap();
/// # })
/// ```
///
/// # Examples
///
/// ```
/// use coreloop::scope::TaskGroup;
/// use std::io;
///
/// # coreloop::block_on(async {
/// let mut group = TaskGroup::new();
/// let sum = group.spawn(async { Ok(1 + 2) });
/// let _fails = group.spawn(async { Err::<(), _>(io::Error::other("no luck")) });
/// let _waits = group.spawn(async { Ok(std::future::pending::<()>().await) });
/// assert_eq!(sum.await.unwrap(), 3);
/// let error = group.join().await.unwrap_err();
/// assert_eq!(error.first().to_string(), "no luck");
/// # })
/// ```
#[must_use = "dropping it aborts its tasks"]
pub struct TaskGroup<E: 'static> {
    state: Rc<GroupState<E>>,
    made_at: &'static Location<'static>,
}

impl<E: 'static> TaskGroup<E> {
    /// Creates a group that aborts all its tasks when one of them fails.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(false, Location::caller())
    }

    /// Creates a group in which the failure of a task does not affect the others.
    ///
    /// A task's handle returns its error. If the handle was dropped,
    /// [`join`](TaskGroup::join) returns the error, when all tasks have ended. The group
    /// keeps the first 100 such errors, and [counts](GroupError::omitted) the others.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::scope::{MemberError, TaskGroup};
    ///
    /// # coreloop::block_on(async {
    /// let mut group = TaskGroup::supervisor();
    /// let fails = group.spawn(async { Err::<(), _>("no luck") });
    /// let works = group.spawn(async { Ok(1) });
    /// assert!(matches!(fails.await, Err(MemberError::Failed("no luck"))));
    /// assert!(matches!(works.await, Ok(1)));
    /// group.join().await.unwrap();
    /// # })
    /// ```
    #[track_caller]
    pub fn supervisor() -> Self {
        Self::with(true, Location::caller())
    }

    fn with(supervises: bool, made_at: &'static Location<'static>) -> Self {
        Self {
            state: GroupState::new(supervises),
            made_at,
        }
    }

    /// Spawns `future` as a task of this group.
    ///
    /// If the group [is cancelled](TaskGroup::is_cancelled), the task is aborted before its
    /// first poll, so the future is dropped without having been polled.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn<T, F>(&mut self, future: F) -> MemberHandle<T, E>
    where
        T: 'static,
        F: Future<Output = Result<T, E>> + 'static,
    {
        self.spawn_at(future, false, Location::caller())
    }

    /// Spawns `future` as a daemon: a task that serves the others, and is aborted when
    /// they have ended and the group is joined.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::scope::TaskGroup;
    /// use coreloop::time::interval;
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// let mut group = TaskGroup::<&str>::new();
    /// drop(group.spawn_daemon(async {
    ///     let mut beats = interval(Duration::from_millis(1));
    ///     for _ in 0_u64.. {
    ///         beats.tick().await;
    ///     }
    ///     Ok(())
    /// }));
    /// drop(group.spawn(async { Ok("the work") }));
    /// // The heartbeat does not keep the group from ending.
    /// group.join().await.unwrap();
    /// # })
    /// ```
    #[track_caller]
    pub fn spawn_daemon<T, F>(&mut self, future: F) -> MemberHandle<T, E>
    where
        T: 'static,
        F: Future<Output = Result<T, E>> + 'static,
    {
        self.spawn_at(future, true, Location::caller())
    }

    #[track_caller]
    fn spawn_at<T, F>(
        &mut self,
        future: F,
        is_daemon: bool,
        spawned_at: &'static Location<'static>,
    ) -> MemberHandle<T, E>
    where
        T: 'static,
        F: Future<Output = Result<T, E>> + 'static,
    {
        let number = self.state.take_number();
        let (guard, handle) = member::guard_and_handle(&self.state, number);
        let spawned = context::spawn_on_current(|tasks| {
            tasks.spawn(Member::new(future, guard), SpawnOptions::at(spawned_at))
        });
        let Some(task) = spawned else {
            context::missing("TaskGroup::spawn");
        };
        if !task.is_finished() {
            self.state.insert(number, task.abort_handle(), is_daemon);
        }
        if self.state.is_cancelled() {
            task.abort();
        }
        handle
    }

    /// Spawns a task that runs `body`, waits until the body calls [`Started::set`], and
    /// returns the value that was set. The task continues to run.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the first poll spawns the task as a member of the group, which keeps it.
    ///
    /// # Errors
    ///
    /// Returns an error if the task ended without calling [`Started::set`]. It is the
    /// error that the handle of a task from [`spawn`](TaskGroup::spawn) would return.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::scope::{Started, TaskGroup};
    ///
    /// # coreloop::block_on(async {
    /// let mut group = TaskGroup::<()>::new();
    /// let server = async |started: Started<u16>| {
    ///     started.set(8080); // Bound now.
    ///     std::future::pending().await
    /// };
    /// assert_eq!(group.start(server).await.unwrap(), 8080);
    /// # })
    /// ```
    pub async fn start<V, B>(&mut self, body: B) -> Result<V, MemberError<E>>
    where
        V: 'static,
        B: AsyncFnOnce(Started<V>) -> Result<(), E> + 'static,
    {
        let output = OneValue::new();
        let started = Started::new(&output);
        let handle = self.spawn(async move { body(started).await });
        let value = output.wait().await;
        match value {
            Some(value) => Ok(value),
            // The task has dropped `started`, so it has ended or will soon.
            None => Err(match handle.await {
                Ok(()) => MemberError::Cancelled,
                Err(error) => error,
            }),
        }
    }

    /// Aborts all tasks. Tasks that are spawned from now on are never polled.
    pub fn cancel(&mut self) {
        self.state.cancel();
    }

    /// Returns `true` if the group was cancelled, by [`cancel`](TaskGroup::cancel) or
    /// because a task failed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// Returns the number of tasks that have not ended, including daemons.
    ///
    /// A task has ended when its future was dropped and its cleanups have run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Returns `true` if every task has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a task has ended, or returns `None` if no task is left but daemons.
    ///
    /// Each task that ends is reported by one call. Tasks that ended before the last one
    /// was spawned are not reported, because the group keeps nothing of them. The handles
    /// return the outputs, and [`join`](TaskGroup::join) the failures.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call reports the task.
    ///
    /// # Examples
    ///
    /// At most two tasks at a time:
    ///
    /// ```
    /// use coreloop::scope::TaskGroup;
    /// use coreloop::task::yield_now;
    ///
    /// # coreloop::block_on(async {
    /// let mut group = TaskGroup::<()>::new();
    /// for _ in 0..10 {
    ///     if group.len() == 2 {
    ///         group.join_next().await;
    ///     }
    ///     drop(group.spawn(async { Ok(yield_now().await) }));
    ///     assert!(group.len() <= 2);
    /// }
    /// while group.join_next().await.is_some() {}
    /// assert!(group.is_empty());
    /// # })
    /// ```
    pub async fn join_next(&mut self) -> Option<()> {
        poll_fn(|cx| self.state.poll_next(cx)).await
    }

    /// Waits until all tasks have ended, and aborts the daemons when no other task is left.
    ///
    /// An aborted task does not count as a failure.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future drops the group, which aborts its tasks.
    ///
    /// # Errors
    ///
    /// Returns an error if a task failed, with the errors of all tasks that did. In a
    /// supervisor, only the tasks whose handles were dropped count.
    ///
    /// # Panics
    ///
    /// Panics if a task panicked, with the first such panic, after all tasks have ended. In
    /// a supervisor a panic does not propagate; the task's handle reports it.
    pub async fn join(self) -> Result<(), GroupError<E>> {
        poll_fn(|cx| self.state.poll_tasks(cx)).await;
        self.state.abort_daemons();
        poll_fn(|cx| self.state.poll_all(cx)).await;
        if let Some(panic) = self.state.take_panic() {
            resume_unwind(panic);
        }
        GroupError::of(self.state.take_failures()).map_or(Ok(()), Err)
    }
}

impl<E: 'static> Default for TaskGroup<E> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<E: 'static> Drop for TaskGroup<E> {
    fn drop(&mut self) {
        self.state.cancel();
        if self.is_empty() {
            return;
        }
        let state = Rc::clone(&self.state);
        after_drop(self.made_at, async move {
            poll_fn(|cx| state.poll_all(cx)).await;
        });
    }
}

impl<E: 'static> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
