//! [`JoinHandle`] and [`AbortHandle`]: to wait for the output of a task, and to abort it.
#![expect(
    unsafe_code,
    reason = "handles own a flag or a reference of a task; see the invariants of `task`"
)]

use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::id::Id;
use crate::engine::nesting::{self, Level};
use crate::engine::task::error::JoinError;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::raw::RawTask;
use crate::engine::task::{budget, waker};

/// A handle to a spawned task, and to its output.
///
/// Awaiting it returns the output of the task, or a [`JoinError`] if the task was
/// aborted or panicked. **Dropping it detaches the task**, which continues to run; its
/// output is dropped when it finishes.
///
/// If the task has finished, dropping the handle drops the output. A panic of the
/// output's destructor is reported by the panic hook and discarded. If the output owns
/// the handle of another task, and so on, at most 16 destructors are nested; deeper
/// ones are called when the innermost of these returns, so a chain of any length needs
/// little stack.
///
/// The handle stays on the thread of its runtime, because the output may be `!Send`; an
/// [`AbortHandle`] may be sent to other threads.
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
/// # coreloop::block_on(async {
/// let handle = coreloop::spawn(async { 6 * 7 });
/// assert_eq!(handle.await.unwrap(), 42);
/// # })
/// ```
pub struct JoinHandle<T> {
    task: RawTask,
    // The handle returns a `T`, and must not leave the owner's thread.
    output: PhantomData<(T, Rc<()>)>,
}

// The handle does not hold the output, so a panic cannot leave it half-written in
// there.
impl<T> Unpin for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// On the owner's thread. `JOINED` is set, and belongs to this handle alone; `T` is the
    /// output of the task's future.
    #[inline]
    pub(super) unsafe fn new(task: RawTask) -> Self {
        Self {
            task,
            output: PhantomData,
        }
    }

    pub(super) fn task(&self) -> RawTask {
        self.task
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: `JOINED` keeps the task, and this is the owner's thread.
        unsafe { self.task.header() }
    }

    /// Aborts the task.
    ///
    /// Its future is dropped when the loop next runs the task, and awaiting the handle
    /// then returns an error whose [`is_cancelled`](JoinError::is_cancelled) is true.
    ///
    /// A task that has finished, or that returns before the loop drops its future, is not
    /// affected. A task may abort itself: it ends at its next await that waits. A task
    /// with [cleanups](crate::cleanup) finishes when these have run, some of them
    /// before its future is dropped.
    pub fn abort(&self) {
        // SAFETY: `JOINED` keeps the task.
        unsafe { waker::notify(self.task, true) };
    }

    /// Aborts the task, and returns the handle. Await it to wait until the task has finished:
    ///
    /// ```
    /// # coreloop::block_on(async {
    /// let handle = coreloop::spawn(std::future::pending::<()>());
    /// assert!(handle.abort_and_wait().await.unwrap_err().is_cancelled());
    /// # })
    /// ```
    ///
    /// When that await returns, the future has been dropped, and the cleanups of its
    /// guards have run. If the task had finished before, the await returns its output
    /// all the same.
    #[must_use = "await it to wait until the task has finished; or use `abort`"]
    pub fn abort_and_wait(self) -> Self {
        self.abort();
        self
    }

    /// The former name of [`abort_and_wait`](JoinHandle::abort_and_wait).
    #[must_use = "await it to wait until the task has finished; or use `abort`"]
    #[deprecated(since = "0.1.0", note = "renamed to `abort_and_wait`")]
    pub fn cancel(self) -> Self {
        self.abort_and_wait()
    }

    /// Returns whether the task has finished, so that awaiting the handle does not
    /// wait.
    #[must_use]
    #[inline]
    pub fn is_finished(&self) -> bool {
        !self.header().has(Flags::LIVE)
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.header().id
    }

    /// Returns a handle that can abort the task from any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # coreloop::block_on(async {
    /// let task = coreloop::spawn(std::future::pending::<()>());
    /// let stop = task.abort_handle();
    /// std::thread::spawn(move || stop.abort());
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # })
    /// ```
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        self.header().state.acquire();
        AbortHandle { task: self.task }
    }

    /// Lets the future of the task decide what an abort does. The abort then only wakes the
    /// task, and the future takes it by
    /// [`Scheduler::take_abort`](super::scheduler::Scheduler::take_abort).
    pub(crate) fn decide_abort(&self) {
        self.header().set(Flags::DECIDES_ABORT);
    }

    /// Releases the handle of a task that has not finished, or whose outcome was not
    /// taken. The caller must not use the handle again.
    #[inline(never)]
    fn detach(&mut self) {
        // Dropped last, because dropping a waker runs user code. That code may run a
        // turn of the loop, during which the task must no longer keep an outcome for
        // this handle.
        let _waker = self.header().join_waker.take();
        if self.header().has(Flags::RESULT) {
            // SAFETY: `RESULT` is set. The handle's `JOINED` passes to the call.
            unsafe { give_up(self.task) };
        } else {
            // SAFETY: `RESULT` is not set. The handle's `JOINED` passes to the call.
            unsafe { leave(self.task) };
        }
    }

    /// Takes the outcome of a task that has finished.
    ///
    /// # Panics
    ///
    /// Panics if the task has not finished, or its outcome was taken before.
    pub(crate) fn result(&mut self) -> Result<T, JoinError> {
        let id = self.id();
        self.take()
            .unwrap_or_else(|| panic!("task {id} has no outcome to take"))
    }

    /// Takes the outcome, if the task has finished and the outcome was not taken
    /// before.
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        if !self.header().has(Flags::RESULT) {
            return None;
        }
        self.header().clear(Flags::RESULT);
        // SAFETY: `RESULT` was cleared just now, and the handle's `T` is the
        // output of the task's future.
        let outcome = unsafe { self.task.take_outcome::<T>() };
        Some(outcome.map_err(|failure| JoinError::new(self.id(), failure)))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(budget::poll_proceed(cx));
        if let Some(result) = self.take() {
            return Poll::Ready(result);
        }
        let header = self.header();
        assert!(
            header.has(Flags::LIVE),
            "JoinHandle polled after it gave the output of task {}",
            header.id
        );
        if !header.join_waker.keep(cx) {
            return Poll::Pending;
        }
        // Storing the waker runs user code, which may have run a turn of the loop.
        let Some(result) = self.take() else {
            return Poll::Pending;
        };
        // The task finished before the waker was stored, so it will not take the waker
        // out.
        drop(self.header().join_waker.take());
        Poll::Ready(result)
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if self.header().has(Flags::LIVE.union(Flags::RESULT)) {
            self.detach();
        } else {
            // The outcome was taken, and no waker is left.
            // SAFETY: `RESULT` is not set. The handle's `JOINED` passes to the call.
            unsafe { leave(self.task) };
        }
    }
}

/// Drops the outcome and clears `JOINED`: now, or if too many destructors of outputs are
/// nested, when the innermost of them returns.
///
/// # Safety
///
/// On the owner's thread. `RESULT` is set. `JOINED` is set, and belongs to this call.
#[inline(never)]
unsafe fn give_up(task: RawTask) {
    // SAFETY: `JOINED` keeps the task.
    let may_borrow = unsafe { task.header() }.has(Flags::ROOT);
    let level = Level::enter();
    if level.is_some() || may_borrow {
        // SAFETY: passed on to the caller.
        unsafe { drop_outcome(task) };
    } else {
        // SAFETY: likewise. No other code touches the outcome of a task while `RESULT` and
        // `JOINED` are set, and the closure stays on this thread. The outcome may wait,
        // because only the outcome of a root borrows (`Scheduler::spawn_borrowing`).
        nesting::defer(move || unsafe { drop_outcome(task) });
    }
}

/// Drops the outcome and clears `JOINED`.
///
/// # Safety
///
/// The same as for [`give_up`].
unsafe fn drop_outcome(task: RawTask) {
    // SAFETY: `JOINED` keeps the task, and this is the owner's thread.
    unsafe { task.discard_outcome() };
    // SAFETY: passed on to the caller.
    unsafe { leave(task) };
}

/// Clears `JOINED`, and so gives up the handle's part of the owner's reference.
///
/// # Safety
///
/// On the owner's thread. `JOINED` is set, and belongs to this call; `RESULT` is not set.
#[inline]
unsafe fn leave(task: RawTask) {
    // SAFETY: `JOINED` keeps the task until here.
    unsafe { task.header() }.clear(Flags::JOINED);
    // SAFETY: `JOINED` was cleared just now.
    unsafe { task.disown() };
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// A handle that can abort a task from any thread.
///
/// It does not keep the task alive, and dropping it does nothing. After the task has
/// finished, the handle keeps at most a few hundred bytes of memory.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// let handle = coreloop::spawn(std::future::pending::<()>());
/// let abort = handle.abort_handle();
/// std::thread::spawn(move || abort.abort());
/// assert!(handle.await.unwrap_err().is_cancelled());
/// # })
/// ```
pub struct AbortHandle {
    task: RawTask,
}

// SAFETY: the handle uses only the id, the state, and `notify`, as wakers do (invariant 1).
unsafe impl Send for AbortHandle {}
// SAFETY: likewise.
unsafe impl Sync for AbortHandle {}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl AbortHandle {
    /// Aborts the task, like [`JoinHandle::abort`].
    pub fn abort(&self) {
        // SAFETY: the handle's reference keeps the task.
        unsafe { waker::notify(self.task, true) };
    }

    /// Returns whether the task has finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // SAFETY: the handle's reference keeps the task.
        unsafe { self.task.header() }.state.is_done()
    }

    /// Returns the id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        // SAFETY: the handle's reference keeps the task.
        unsafe { self.task.header() }.id
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> Self {
        // SAFETY: the handle's reference keeps the task.
        unsafe { self.task.header() }.state.acquire();
        Self { task: self.task }
    }
}

impl Drop for AbortHandle {
    fn drop(&mut self) {
        // SAFETY: the handle's reference, which is not used again.
        unsafe { self.task.release() };
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
