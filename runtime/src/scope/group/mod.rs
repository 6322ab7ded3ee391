//! [`TaskGroup`]: tasks that stand and fall together.
//!
//! # Invariants
//!
//! 1. A group has ended when all its tasks have: their futures were dropped, and
//!    their cleanups have run. One that is dropped aborts its tasks, and leaves the
//!    waiting to the lane of the task that dropped it.
//! 2. Of a task that has ended nothing is kept but its failure.
//! 3. Nothing is borrowed while a task is spawned or aborted, or an error
//!    dropped.

mod error;
mod member;
mod shared;

use std::fmt;
use std::future::poll_fn;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use crate::engine::cancel::run::after_drop;
use crate::engine::core::context;

pub use crate::scope::group::error::{GroupError, MemberError};
pub use crate::scope::group::member::{MemberHandle, Started};

use crate::scope::group::member::{Member, Output};
use crate::scope::group::shared::Shared;

/// Tasks that have all ended when the group has.
///
/// If one returns an error or panics, the others are aborted, and do their
/// cleanups; [`join`](TaskGroup::join) then gives the error, with those of
/// others that failed meanwhile. In a [`supervisor`](TaskGroup::supervisor) the
/// others go on instead, and an error is that of the task's handle.
///
/// A group that is dropped aborts its tasks. The task that dropped it ends after
/// these, as if the group were an [`AsyncGuard`](crate::cleanup::AsyncGuard).
///
/// The group keeps nothing of a task that has ended but its failure. So a server may
/// spawn a task for each connection into one group for as long as it runs, and need
/// not join them:
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
    shared: Rc<Shared<E>>,
    made_at: &'static Location<'static>,
}

impl<E: 'static> TaskGroup<E> {
    /// A group that ends with the first failure.
    #[track_caller]
    pub fn new() -> TaskGroup<E> {
        TaskGroup::with(false, Location::caller())
    }

    /// A group whose tasks fail each by itself.
    ///
    /// The error of one whose handle was dropped is given by
    /// [`join`](TaskGroup::join), when all have ended. The first 100 such errors are
    /// kept, and the others [counted](GroupError::omitted).
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
    pub fn supervisor() -> TaskGroup<E> {
        TaskGroup::with(true, Location::caller())
    }

    fn with(supervises: bool, made_at: &'static Location<'static>) -> TaskGroup<E> {
        TaskGroup {
            shared: Shared::new(supervises),
            made_at,
        }
    }

    /// Makes a task of `future`, and a member of that. Once the group
    /// [is cancelled](TaskGroup::is_cancelled) the task is aborted before its first poll,
    /// so the future is dropped, and never polled.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<T, F>(&mut self, future: F) -> MemberHandle<T, E>
    where
        T: 'static,
        F: Future<Output = Result<T, E>> + 'static,
    {
        self.spawn_at(future, false, Location::caller())
    }

    /// As [`spawn`](TaskGroup::spawn), for a task that serves the others: it is
    /// aborted when they have ended.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](crate::spawn).
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
    /// // The heartbeat does not keep the group.
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
        let number = self.shared.take_number();
        let (seat, handle) = member::seat(&self.shared, number);
        let spawned = context::with_current_or_running(|event_loop, running| {
            event_loop.spawn(Member::new(future, seat), spawned_at, running)
        });
        let Some(task) = spawned else {
            context::missing("TaskGroup::spawn");
        };
        if !task.is_finished() {
            self.shared.insert(number, task.abort_handle(), is_daemon);
        }
        if self.shared.is_cancelled() {
            task.abort();
        }
        handle
    }

    /// Makes a task of what `body` returns, and waits until that calls
    /// [`Started::set`]: gives what was set. The task goes on by itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the task is a member of the group from the first poll on.
    ///
    /// # Errors
    ///
    /// If the task was over without that. If it failed, the error is where that
    /// of [`spawn`](TaskGroup::spawn) would be.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](crate::spawn).
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
        let output = Output::new();
        let started = Started::new(&output);
        let handle = self.spawn(async move { body(started).await });
        let value = output.wait().await;
        match value {
            Some(value) => Ok(value),
            // It is over, or about to be.
            None => Err(match handle.await {
                Ok(()) => MemberError::Cancelled,
                Err(error) => error,
            }),
        }
    }

    /// Aborts every task. Those that are spawned from now on are not begun.
    pub fn cancel(&mut self) {
        self.shared.cancel();
    }

    /// Whether the group was cancelled, by [`cancel`](TaskGroup::cancel) or because a
    /// task failed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// How many tasks of the group have not ended, daemons included.
    ///
    /// A task has ended when its future was dropped and its cleanups have run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether every task has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a task has ended; `None` if no task is left but daemons.
    ///
    /// Each task that ends is given once, except that those which ended before the last
    /// one was spawned are not: the group keeps nothing of them. The outputs are given
    /// by the handles, and the failures by [`join`](TaskGroup::join).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a task that has ended is given by the next call.
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
        poll_fn(|context| self.shared.poll_next(context)).await
    }

    /// Waits until all tasks have ended.
    ///
    /// Tasks that were aborted are no failure.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping it drops the group, and so aborts the tasks.
    ///
    /// # Errors
    ///
    /// The errors of the tasks that failed, in a supervisor of those whose
    /// handle was dropped.
    ///
    /// # Panics
    ///
    /// If a task panicked, with the first such panic, when all have ended. Not in
    /// a supervisor, where the handle gives it.
    pub async fn join(self) -> Result<(), GroupError<E>> {
        poll_fn(|context| self.shared.poll_tasks(context)).await;
        self.shared.abort_daemons();
        poll_fn(|context| self.shared.poll_all(context)).await;
        if let Some(panic) = self.shared.take_panic() {
            resume_unwind(panic);
        }
        GroupError::of(self.shared.take_failures()).map_or(Ok(()), Err)
    }
}

impl<E: 'static> Default for TaskGroup<E> {
    #[track_caller]
    fn default() -> TaskGroup<E> {
        TaskGroup::new()
    }
}

impl<E: 'static> Drop for TaskGroup<E> {
    fn drop(&mut self) {
        self.shared.cancel();
        if self.is_empty() {
            return;
        }
        let shared = Rc::clone(&self.shared);
        after_drop(self.made_at, async move {
            poll_fn(|context| shared.poll_all(context)).await;
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
