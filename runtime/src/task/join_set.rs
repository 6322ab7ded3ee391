//! [`JoinSet`]: tasks with outputs of one type, joined in the order in which they
//! finish.
//!
//! # Invariants
//!
//! 1. The task of each member owns a `Notice`, which adds the member's key to the list
//!    once: when the future has been dropped, for whatever reason, and the task has no
//!    cleanup left. So a key in the list names a member until the member is removed,
//!    and no member is polled before its key is in the list. By then the task has
//!    finished, or is further up the stack and about to finish.
//! 2. Detached tasks keep the list that they were given, and the set takes a new one,
//!    so their keys are never read.
//! 3. Nothing is borrowed while a waker is cloned, woken or dropped, or an output is
//!    dropped.
//!    is dropped.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use slab::Slab;

use crate::engine::cancel::run::after_cleanups;
use crate::engine::core::context;
use crate::engine::id::Id;
use crate::engine::task::budget;
use crate::engine::task::error::JoinError;
use crate::engine::task::join::{AbortHandle, JoinHandle};
use crate::engine::task::spawn_options::SpawnOptions;
use crate::engine::waker_cell::WakerCell;

/// A set of tasks that are joined in the order in which they finish.
///
/// All tasks have the same type of output, which may be `!Send`, as may the tasks. A
/// task has finished when its [cleanups](crate::cleanup) have run; until then it does
/// not keep other tasks from being joined. **Dropping the set aborts every task in
/// it**; see [`detach_all`](JoinSet::detach_all).
///
/// # Examples
///
/// ```
/// use coreloop::task::JoinSet;
/// use coreloop::time::sleep;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let mut set = JoinSet::new();
/// for millis in [3, 1, 2] {
///     set.spawn(async move {
///         sleep(Duration::from_millis(millis)).await;
///         millis
///     });
/// }
/// let mut sum = 0;
/// while let Some(result) = set.join_next().await {
///     sum += result.unwrap();
/// }
/// assert_eq!(sum, 6);
/// # })
/// ```
#[must_use = "dropping it aborts its tasks"]
pub struct JoinSet<T> {
    members: Slab<JoinHandle<T>>,
    ended: Rc<Ended>,
}

/// The keys of the members that have finished, first to last, and the waker of the task
/// that waits for them.
#[derive(Default)]
struct Ended {
    keys: RefCell<VecDeque<usize>>,
    waker: WakerCell,
}

impl<T> JoinSet<T> {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self {
            members: Slab::new(),
            ended: Rc::default(),
        }
    }

    /// Returns the number of tasks in the set, finished or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task on the current runtime, and adds it to the set.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, like [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.spawn_at(future, None, Location::caller())
    }

    /// Returns a builder for a task of this set, like
    /// [`task::Builder`](super::Builder).
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::task::{self, JoinSet};
    ///
    /// # coreloop::block_on(async {
    /// let mut set = JoinSet::new();
    /// set.build_task().name("first").spawn(async { task::name() })?;
    /// let name = set.join_next().await.unwrap()?;
    /// assert_eq!(name.as_deref(), Some("first"));
    /// # Ok::<(), std::io::Error>(())
    /// # })
    /// # .unwrap();
    /// ```
    pub fn build_task(&mut self) -> Builder<'_, T> {
        Builder {
            set: self,
            name: None,
        }
    }

    #[track_caller]
    fn spawn_at<F>(
        &mut self,
        future: F,
        name: Option<&str>,
        spawned_at: &'static Location<'static>,
    ) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        let entry = self.members.vacant_entry();
        let spawned = context::spawn_on_current(|tasks| {
            let member = Member {
                future,
                _notice: Notice {
                    ended: Rc::clone(&self.ended),
                    key: entry.key(),
                },
            };
            tasks.spawn(member, SpawnOptions::at(spawned_at).with_name(name))
        });
        let Some(handle) = spawned else {
            context::missing("JoinSet::spawn");
        };
        let abort = handle.abort_handle();
        entry.insert(handle);
        abort
    }

    /// Waits until one of the tasks has finished, and removes it from the set.
    ///
    /// Returns the outcome of the task, or `None` if the set is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a call that is dropped has removed no task.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task was aborted or panicked.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Like [`join_next`](JoinSet::join_next), but also returns the id of the task.
    ///
    /// For a task that failed, the id is in the error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a call that is dropped has removed no task.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task was aborted or panicked.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Removes a task that has finished, if there is one, and returns its outcome.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task was aborted or panicked.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(without_id)
    }

    /// Like [`try_join_next`](JoinSet::try_join_next), but also returns the task's id.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task was aborted or panicked.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        // Not always the first one: see invariant 1.
        let index = {
            let keys = self.ended.keys.borrow();
            let is_finished = |key: &usize| self.members[*key].is_finished();
            keys.iter().position(is_finished)?
        };
        let key = self.ended.keys.borrow_mut().remove(index)?;
        let mut handle = self.members.remove(key);
        let id = handle.id();
        Some(handle.result().map(|output| (id, output)))
    }

    /// Polls for a task that has finished, like [`join_next`](JoinSet::join_next).
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task was aborted or panicked.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let polled = ready!(self.poll_join_next_with_id(cx));
        Poll::Ready(polled.map(without_id))
    }

    /// Polls for a task that has finished, and returns its id too.
    ///
    /// This is the poll function of [`join_next_with_id`](JoinSet::join_next_with_id).
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// The inner result is an error if the task was aborted or panicked.
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        ready!(budget::poll_proceed(cx));
        if let Some(joined) = self.try_join_next_with_id() {
            return Poll::Ready(Some(joined));
        }
        if self.ended.waker.keep(cx)
            && let Some(joined) = self.try_join_next_with_id()
        {
            return Poll::Ready(Some(joined));
        }
        let mut index = 0;
        loop {
            let key = self.ended.keys.borrow().get(index).copied();
            let Some(key) = key else {
                return Poll::Pending;
            };
            // The member's task wakes the handle when it finishes.
            let id = self.members[key].id();
            if let Poll::Ready(result) = Pin::new(&mut self.members[key]).poll(cx) {
                self.ended.keys.borrow_mut().remove(index);
                drop(self.members.remove(key));
                return Poll::Ready(Some(result.map(|output| (id, output))));
            }
            index += 1;
        }
    }

    /// Waits for all tasks, and returns their outputs in the order of finishing.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the call drops the set, which aborts its tasks, and
    /// the outputs that it had collected.
    ///
    /// # Panics
    ///
    /// Panics if a task panicked, with the same panic, or if a task was aborted. The
    /// other tasks are then aborted.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::task::{JoinSet, yield_now};
    ///
    /// # coreloop::block_on(async {
    /// let mut set = JoinSet::new();
    /// set.spawn(async {
    ///     yield_now().await;
    ///     "slow"
    /// });
    /// set.spawn(async { "quick" });
    /// assert_eq!(set.join_all().await, ["quick", "slow"]);
    /// # })
    /// ```
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(panic)) => resume_unwind(panic),
                Err(Err(cancelled)) => panic!("join_all on a set in which {cancelled}"),
            }
        }
        outputs
    }

    /// Aborts every task, and waits until all have finished.
    ///
    /// Their outputs and panics are dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the tasks are aborted at the first poll, and those that have not
    /// been joined stay in the set.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::task::JoinSet;
    ///
    /// # coreloop::block_on(async {
    /// let mut set = JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    /// set.shutdown().await;
    /// assert!(set.is_empty());
    /// # })
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }
}

impl<T> JoinSet<T> {
    /// Aborts every task. The tasks stay in the set, and joining them returns errors.
    pub fn abort_all(&mut self) {
        for (_, member) in &self.members {
            member.abort();
        }
    }

    /// Removes every task from the set without aborting it.
    pub fn detach_all(&mut self) {
        self.ended = Rc::default();
        let members = std::mem::take(&mut self.members);
        // The outputs of tasks that have finished are dropped here.
        drop(members);
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Spawns each of the futures.
impl<F> Extend<F> for JoinSet<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        for future in futures {
            self.spawn(future);
        }
    }
}

/// Spawns each of the futures.
impl<F> FromIterator<F> for JoinSet<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        set.extend(futures);
        set
    }
}

/// A builder that spawns a task with a name into a set.
///
/// See [`JoinSet::build_task`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct Builder<'a, T> {
    set: &'a mut JoinSet<T>,
    name: Option<&'a str>,
}

impl<'a, T: 'static> Builder<'a, T> {
    /// Sets the name of the task. Several tasks may have the same name.
    pub fn name(self, name: &'a str) -> Self {
        Builder {
            name: Some(name),
            ..self
        }
    }

    /// Spawns the task, like [`JoinSet::spawn`].
    ///
    /// # Errors
    ///
    /// Never returns an error at present; the signature is the same as tokio's.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, like [`JoinSet::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.spawn_at(future, self.name, Location::caller()))
    }
}

pin_project! {
    /// The future of a member. Its fields are dropped in this order.
    struct Member<F> {
        #[pin]
        future: F,
        _notice: Notice,
    }
}

impl<F: Future> Future for Member<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

/// Adds the key to the list when it has been dropped, after the future, and no cleanup
/// of the task is left.
struct Notice {
    ended: Rc<Ended>,
    key: usize,
}

impl Drop for Notice {
    fn drop(&mut self) {
        let (ended, key) = (Rc::clone(&self.ended), self.key);
        after_cleanups(move || {
            ended.keys.borrow_mut().push_back(key);
            ended.waker.wake();
        });
    }
}

fn without_id<T>(joined: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    joined.map(|(_, output)| output)
}
