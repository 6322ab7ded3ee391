//! [`TaskGroup`]: tasks that stand and fall together.
//!
//! # Invariants
//!
//! 1. A group is over when all its tasks are: their futures dropped, and their
//!    cleanups done. One that is dropped has its tasks aborted, and leaves the
//!    waiting to the lane of the task that dropped it.
//! 2. Nothing is borrowed while a task is spawned or aborted, or an error
//!    dropped.

mod error;
mod member;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use crate::cleanup::after_drop;
use crate::panics::{self, Payload};
use crate::runtime::TaskMeta;
use crate::task::{AbortHandle, JoinError, JoinSet};

pub use error::{GroupError, MemberError};
pub use member::{MemberHandle, Started};

use self::member::{Output, Seat, start};

/// Tasks that are all over when the group is.
///
/// If one returns an error or panics, the others are aborted, and do their
/// cleanups; [`join`](TaskGroup::join) then gives the error, with those of
/// others that failed meanwhile. In a [`supervisor`](TaskGroup::supervisor) the
/// others go on instead, and an error is that of the task's handle.
///
/// A group that is dropped aborts its tasks. The task that dropped it is over
/// when these are, as if the group were an
/// [`AsyncGuard`](crate::cleanup::AsyncGuard).
///
/// # Examples
///
/// ```
/// use coreloop_runtime::scope::TaskGroup;
/// use std::io;
///
/// # coreloop_runtime::block_on(async {
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
    tasks: JoinSet<()>,
    daemons: JoinSet<()>,
    shared: Rc<Shared<E>>,
    made_at: &'static Location<'static>,
}

/// What the tasks of a group know of it.
struct Shared<E> {
    supervises: bool,
    is_cancelled: Cell<bool>,
    aborts: RefCell<Vec<AbortHandle>>,
    failures: RefCell<Vec<(TaskMeta, E)>>,
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
    /// [`join`](TaskGroup::join), when all are over.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop_runtime::scope::{MemberError, TaskGroup};
    ///
    /// # coreloop_runtime::block_on(async {
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
            tasks: JoinSet::new(),
            daemons: JoinSet::new(),
            shared: Rc::new(Shared {
                supervises,
                is_cancelled: Cell::new(false),
                aborts: RefCell::default(),
                failures: RefCell::default(),
            }),
            made_at,
        }
    }

    /// Makes a task of `future`, and a member of that. Once the group is
    /// cancelled the future is dropped instead, and never polled.
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
        let (seat, handle) = self.seat();
        if !self.shared.is_cancelled.get() {
            let task = self.tasks.spawn(start(seat, future));
            self.keep(task);
        }
        handle
    }

    /// As [`spawn`](TaskGroup::spawn), for a task that serves the others: it is
    /// aborted when they are over.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](crate::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop_runtime::scope::TaskGroup;
    /// use coreloop_runtime::time::interval;
    /// use std::time::Duration;
    ///
    /// # coreloop_runtime::block_on(async {
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
        let (seat, handle) = self.seat();
        if !self.shared.is_cancelled.get() {
            let task = self.daemons.spawn(start(seat, future));
            self.keep(task);
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
    /// use coreloop_runtime::scope::{Started, TaskGroup};
    ///
    /// # coreloop_runtime::block_on(async {
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

    /// How many tasks are in the group, daemons too, ended or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len() + self.daemons.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all tasks are over.
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
    /// If a task panicked, with the first such panic, when all are over. Not in
    /// a supervisor, where the handle tells.
    pub async fn join(mut self) -> Result<(), GroupError<E>> {
        let mut panicked = None;
        while let Some(result) = self.tasks.join_next().await {
            self.see(result, &mut panicked);
        }
        self.daemons.abort_all();
        while let Some(result) = self.daemons.join_next().await {
            self.see(result, &mut panicked);
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        let failures = self.shared.failures.take();
        GroupError::of(failures).map_or(Ok(()), Err)
    }

    fn see(&self, result: Result<(), JoinError>, panicked: &mut Option<Payload>) {
        let Err(Ok(panic)) = result.map_err(JoinError::try_into_panic) else {
            return;
        };
        // The panic hook has told of each.
        if self.shared.supervises || panicked.is_some() {
            panics::discard(panic);
        } else {
            *panicked = Some(panic);
        }
    }

    fn seat<T: 'static>(&self) -> (Seat<T, E>, MemberHandle<T, E>) {
        member::seat(&self.shared)
    }

    fn keep(&self, task: AbortHandle) {
        let mut aborts = self.shared.aborts.borrow_mut();
        if aborts.len() == aborts.capacity() {
            aborts.retain(|task| !task.is_finished());
        }
        aborts.push(task);
    }
}

impl<E> Shared<E> {
    fn cancel(&self) {
        if self.is_cancelled.replace(true) {
            return;
        }
        for task in self.aborts.take() {
            task.abort();
        }
    }

    /// Takes the error of a task in.
    fn fail(&self, task: Option<TaskMeta>, error: E) {
        if let Some(task) = task {
            self.failures.borrow_mut().push((task, error));
        }
        if !self.supervises {
            self.cancel();
        }
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
        let mut tasks = std::mem::take(&mut self.tasks);
        let mut daemons = std::mem::take(&mut self.daemons);
        after_drop(self.made_at, async move {
            tasks.shutdown().await;
            daemons.shutdown().await;
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
