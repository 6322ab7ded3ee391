//! The handles of a task: to its output, and to abort it.
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

use crate::engine::nesting::{self, Level};
use crate::engine::task::error::JoinError;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::id::Id;
use crate::engine::task::raw::Raw;
use crate::engine::task::{budget, waker};

/// A handle to a spawned task, and to its output.
///
/// Awaiting it gives what the task returned, or a [`JoinError`] if it was
/// aborted or panicked. **Dropping it detaches the task**, which goes on
/// running, and whose output is dropped when it ends.
///
/// The output of a task that has ended is dropped with its handle. A panic of the
/// output's destructor goes no further than the panic hook. If the output owns the
/// handle of a further task, and so on, 16 destructors are called within each other;
/// deeper ones are called when the innermost of these returns, so a chain of any
/// length takes little stack.
///
/// The handle stays on the thread of its runtime, as the output may be `!Send`;
/// an [`AbortHandle`] may leave it.
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
/// # coreloop::block_on(async {
/// let handle = coreloop::spawn(async { 6 * 7 });
/// assert_eq!(handle.await.unwrap(), 42);
/// # })
/// ```
pub struct JoinHandle<T> {
    task: Raw,
    // The handle gives a `T`, and must not leave the owner's thread.
    output: PhantomData<(T, Rc<()>)>,
}

// The handle does not hold the output, and shows nothing of it half done.
impl<T> Unpin for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// `JOINED` is set and owned by this handle alone, on the owner's thread;
    /// `T` is the output of the task's future.
    #[inline]
    pub(crate) unsafe fn new(task: Raw) -> JoinHandle<T> {
        JoinHandle {
            task,
            output: PhantomData,
        }
    }

    pub(crate) fn task(&self) -> Raw {
        self.task
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `JOINED` keeps the task, and this is the owner's thread.
        unsafe { self.task.header() }
    }

    /// Aborts the task: its future is dropped when its turn comes, and the
    /// handle then gives an error that [`is_cancelled`](JoinError::is_cancelled).
    ///
    /// A task that is over, or returns before its turn comes, is not changed. A
    /// task may abort itself: it ends at its next await that waits. One that has
    /// something to [clean up](crate::cleanup) does so first, and after.
    pub fn abort(&self) {
        // SAFETY: `JOINED` keeps the task.
        unsafe { waker::notify(self.task, true) };
    }

    /// Aborts the task, and gives the handle back, to wait until it is over:
    ///
    /// ```
    /// # coreloop::block_on(async {
    /// let handle = coreloop::spawn(std::future::pending::<()>());
    /// assert!(handle.abort_and_wait().await.unwrap_err().is_cancelled());
    /// # })
    /// ```
    ///
    /// When that await returns, the future has been dropped, and the cleanups of
    /// its guards are over. A task that was
    /// over before gives its output all the same.
    #[must_use = "await it to know that the task is over; or use `abort`"]
    pub fn abort_and_wait(self) -> JoinHandle<T> {
        self.abort();
        self
    }

    /// The former name of [`abort_and_wait`](JoinHandle::abort_and_wait).
    #[must_use = "await it to wait for the end of the task; or use `abort`"]
    #[deprecated(since = "0.1.0", note = "renamed to `abort_and_wait`")]
    pub fn cancel(self) -> JoinHandle<T> {
        self.abort_and_wait()
    }

    /// Whether the task is over, and awaiting the handle would not wait.
    #[must_use]
    #[inline]
    pub fn is_finished(&self) -> bool {
        !self.header().has(Flags::LIVE)
    }

    /// The id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.header().id
    }

    /// A handle that can abort the task, from any thread.
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
        self.header().word.acquire();
        AbortHandle { task: self.task }
    }

    /// From now on an abort only makes the task run: its future asks for it by
    /// [`TaskSet::take_abort`](super::TaskSet::take_abort), and decides.
    pub(crate) fn shield(&self) {
        self.header().set(Flags::SHIELDED);
    }

    /// Gives up the handle of a task that has not ended, or whose outcome was not taken. The
    /// handle is not used again.
    #[inline(never)]
    fn detach(&mut self) {
        // Dropped last, because that is user code: it may turn the loop, which must not
        // keep an outcome for this handle any more.
        let _waker = self.header().join_waker.take();
        if self.header().has(Flags::RESULT) {
            // SAFETY: `RESULT` is set, and the handle's `JOINED` passes on.
            unsafe { give_up(self.task) };
        } else {
            // SAFETY: the handle's `JOINED` passes on.
            unsafe { leave(self.task) };
        }
    }

    /// The outcome of a task that is over.
    ///
    /// # Panics
    ///
    /// If it is not, or the outcome was taken before.
    pub(crate) fn result(&mut self) -> Result<T, JoinError> {
        let id = self.id();
        self.take()
            .unwrap_or_else(|| panic!("task {id} has no outcome to take"))
    }

    /// The outcome, if the task is over and it was not taken yet.
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

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(budget::poll_proceed(context));
        if let Some(result) = self.take() {
            return Poll::Ready(result);
        }
        let header = self.header();
        assert!(
            header.has(Flags::LIVE),
            "JoinHandle polled after it gave the output of task {}",
            header.id
        );
        if !header.join_waker.keep(context) {
            return Poll::Pending;
        }
        // The loop may have turned meanwhile.
        let Some(result) = self.take() else {
            return Poll::Pending;
        };
        // The task did not see the waker, and it is not to be left behind.
        drop(self.header().join_waker.take());
        Poll::Ready(result)
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if self.header().has(Flags::LIVE.and(Flags::RESULT)) {
            self.detach();
        } else {
            // The outcome was taken, and no waker is left.
            // SAFETY: the handle's `JOINED` passes on.
            unsafe { leave(self.task) };
        }
    }
}

/// Drops the outcome and leaves the task: now, or if the destructors of too many
/// outputs are nested, when the innermost of them returns.
///
/// # Safety
///
/// On the owner's thread. `RESULT` is set. `JOINED` is set and owned by the caller,
/// which passes it on.
#[inline(never)]
unsafe fn give_up(task: Raw) {
    // SAFETY: `JOINED` keeps the task.
    let may_borrow = unsafe { task.header() }.has(Flags::ROOT);
    let level = Level::enter();
    if level.is_some() || may_borrow {
        // SAFETY: passed on to the caller.
        unsafe { drop_outcome(task) };
    } else {
        // SAFETY: likewise. Nothing else touches the outcome of a task that has a
        // `RESULT` and is `JOINED`, and what is deferred stays on the thread. The outcome
        // may wait, because only the outcome of a root borrows
        // (`TaskSet::spawn_borrowing`).
        nesting::defer(move || unsafe { drop_outcome(task) });
    }
}

/// Drops the outcome and leaves the task.
///
/// # Safety
///
/// As for [`give_up`].
unsafe fn drop_outcome(task: Raw) {
    // SAFETY: `JOINED` keeps the task, and this is the owner's thread.
    unsafe { task.discard_outcome() };
    // SAFETY: passed on to the caller.
    unsafe { leave(task) };
}

/// Gives the share of the handle back.
///
/// # Safety
///
/// On the owner's thread. `JOINED` is set and owned by the caller, which passes it
/// on; `RESULT` is not set.
#[inline]
unsafe fn leave(task: Raw) {
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

/// A handle that can abort a task, from any thread.
///
/// It does not keep the task running, and dropping it does nothing. Of a task that
/// has finished it keeps a few hundred bytes at most.
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
    task: Raw,
}

// SAFETY: it reads what never changes and the word, and goes through `notify`,
// as wakers do (invariant 1).
unsafe impl Send for AbortHandle {}
// SAFETY: likewise.
unsafe impl Sync for AbortHandle {}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl AbortHandle {
    /// Aborts the task, as [`JoinHandle::abort`] does.
    pub fn abort(&self) {
        // SAFETY: the handle's reference keeps the task.
        unsafe { waker::notify(self.task, true) };
    }

    /// Whether the task is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // SAFETY: the handle's reference keeps the task.
        unsafe { self.task.header() }.word.is_done()
    }

    /// The id of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        // SAFETY: the handle's reference keeps the task.
        unsafe { self.task.header() }.id
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> AbortHandle {
        // SAFETY: the handle's reference keeps the task.
        unsafe { self.task.header() }.word.acquire();
        AbortHandle { task: self.task }
    }
}

impl Drop for AbortHandle {
    fn drop(&mut self) {
        // SAFETY: the handle's reference, which nobody uses again.
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
