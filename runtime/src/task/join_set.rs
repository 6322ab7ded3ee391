//! [`JoinSet`]: tasks of one kind, joined as they end.
//!
//! # Invariants
//!
//! 1. Each member's task holds a `Notice`, which notes the member's key once: when the
//!    future has been dropped, however that came about, and no cleanup is left of the
//!    task. So a key that was noted names a member until the member is taken out, and
//!    no member is polled before. The task has ended then, or is further up the stack
//!    and about to end.
//! 2. Tasks that are detached keep the list that they were given, and the set
//!    takes a new one: their keys are told to nobody.
//! 3. Nothing is borrowed while a waker is cloned, woken or dropped, or an output
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
use crate::engine::task::budget;
use crate::engine::task::error::JoinError;
use crate::engine::task::id::Id;
use crate::engine::task::join::{AbortHandle, JoinHandle};
use crate::engine::waker_cell::WakerSlot;

/// Tasks that are joined in the order in which they end.
///
/// All have the same type of output, which may be `!Send` as the tasks may. A task has
/// ended when its [cleanups](crate::cleanup) have run; until then it keeps no other
/// task from being joined.
/// **Dropping the set aborts every task in it**; see
/// [`detach_all`](JoinSet::detach_all).
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

/// The keys of the members that have ended, first to last, and the waker of the task
/// that waits for them.
#[derive(Default)]
struct Ended {
    keys: RefCell<VecDeque<usize>>,
    waker: WakerSlot,
}

impl<T> JoinSet<T> {
    /// A set without tasks.
    pub fn new() -> JoinSet<T> {
        JoinSet {
            members: Slab::new(),
            ended: Rc::default(),
        }
    }

    /// How many tasks are in the set, ended or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<T: 'static> JoinSet<T> {
    /// Makes a task of `future` on the current runtime, and a member of that.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.spawn_at(future, None, Location::caller())
    }

    /// As [`task::Builder`](super::Builder), for a member of this set.
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
        let place = self.members.vacant_entry();
        let spawned = context::with_current_or_running(|event_loop, running| {
            let member = Member {
                future,
                _notice: Notice {
                    ended: Rc::clone(&self.ended),
                    key: place.key(),
                },
            };
            event_loop.spawn_named(name, member, spawned_at, running)
        });
        let Some(handle) = spawned else {
            context::missing("JoinSet::spawn");
        };
        let abort = handle.abort_handle();
        place.insert(handle);
        abort
    }

    /// Waits until one of the tasks has ended, and takes it out of the set.
    /// `None` if the set is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no task is taken out by a call that was dropped.
    ///
    /// # Errors
    ///
    /// The inner error is that of a task that was aborted or panicked.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|context| self.poll_join_next(context)).await
    }

    /// As [`join_next`](JoinSet::join_next), with the id of the task. That of
    /// one that failed is in the error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no task is taken out by a call that was dropped.
    ///
    /// # Errors
    ///
    /// The inner error is that of a task that was aborted or panicked.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|context| self.poll_join_next_with_id(context)).await
    }

    /// Takes a task out that has ended, if there is one.
    ///
    /// # Errors
    ///
    /// The inner error is that of a task that was aborted or panicked.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(without_id)
    }

    /// As [`try_join_next`](JoinSet::try_join_next), with the id of the task.
    ///
    /// # Errors
    ///
    /// The inner error is that of a task that was aborted or panicked.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        // Not always the first: see invariant 1.
        let place = {
            let keys = self.ended.keys.borrow();
            let is_finished = |key: &usize| self.members[*key].is_finished();
            keys.iter().position(is_finished)?
        };
        let key = self.ended.keys.borrow_mut().remove(place)?;
        let mut handle = self.members.remove(key);
        let id = handle.id();
        Some(handle.result().map(|output| (id, output)))
    }

    /// As [`join_next`](JoinSet::join_next), for the last task that polls.
    ///
    /// # Errors
    ///
    /// The inner error is that of a task that was aborted or panicked.
    pub fn poll_join_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, JoinError>>> {
        let polled = ready!(self.poll_join_next_with_id(context));
        Poll::Ready(polled.map(without_id))
    }

    /// As [`join_next_with_id`](JoinSet::join_next_with_id), for the last task
    /// that polls.
    ///
    /// # Errors
    ///
    /// The inner error is that of a task that was aborted or panicked.
    pub fn poll_join_next_with_id(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        ready!(budget::poll_proceed(context));
        if let Some(joined) = self.try_join_next_with_id() {
            return Poll::Ready(Some(joined));
        }
        if self.ended.waker.keep(context)
            && let Some(joined) = self.try_join_next_with_id()
        {
            return Poll::Ready(Some(joined));
        }
        let mut place = 0;
        loop {
            let key = self.ended.keys.borrow().get(place).copied();
            let Some(key) = key else {
                return Poll::Pending;
            };
            // Its task wakes the handle when it has ended.
            let id = self.members[key].id();
            if let Poll::Ready(result) = Pin::new(&mut self.members[key]).poll(context) {
                self.ended.keys.borrow_mut().remove(place);
                drop(self.members.remove(key));
                return Poll::Ready(Some(result.map(|output| (id, output))));
            }
            place += 1;
        }
    }

    /// Waits until all tasks have ended, and gives their outputs in the order in
    /// which they did.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the call drops the set, and so aborts its tasks,
    /// and drops the outputs that were there.
    ///
    /// # Panics
    ///
    /// If a task panicked, with that panic, or was aborted. The other tasks are
    /// aborted then.
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
                Err(Err(cancelled)) => panic!("join_all on a set of which {cancelled}"),
            }
        }
        outputs
    }

    /// Aborts every task, and waits until the last has ended. What they
    /// returned, or panicked with, is dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the tasks are aborted at the first poll, and those that
    /// have not been waited for stay in the set.
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
    /// Aborts every task. They stay in the set, and are joined as aborted ones.
    pub fn abort_all(&mut self) {
        for (_, member) in &self.members {
            member.abort();
        }
    }

    /// Takes every task out of the set, and lets them run on by themselves.
    pub fn detach_all(&mut self) {
        self.ended = Rc::default();
        let members = std::mem::take(&mut self.members);
        // Those that have ended have an output, which is dropped here.
        drop(members);
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
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
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> JoinSet<F::Output> {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

/// Spawns a task with a name into a set: see [`JoinSet::build_task`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct Builder<'a, T> {
    set: &'a mut JoinSet<T>,
    name: Option<&'a str>,
}

impl<'a, T: 'static> Builder<'a, T> {
    /// Names the task. Names need not differ.
    pub fn name(self, name: &'a str) -> Builder<'a, T> {
        Builder {
            name: Some(name),
            ..self
        }
    }

    /// As [`JoinSet::spawn`].
    ///
    /// # Errors
    ///
    /// None at present; the result is that of the same function in tokio.
    ///
    /// # Panics
    ///
    /// As [`JoinSet::spawn`].
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

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(context)
    }
}

/// Notes the key when it is dropped, after the future before it, and no cleanup is left.
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
