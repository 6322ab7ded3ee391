//! [`AsyncGuard`]: a value that async code closes when the guard is dropped.

use std::fmt;
use std::future::{pending, poll_fn};
use std::ops::{Deref, DerefMut};
use std::panic::{Location, resume_unwind};

use crate::engine::cancel::in_place::CleanupInPlace;
use crate::engine::cancel::queue::BoxedCleanup;
use crate::engine::cancel::{cleanup, run};

/// A guard that passes its value to the async function `close` when it is dropped.
///
/// If the guard is dropped, at the end of a block, by a panic, or because its task was
/// aborted, the call of `close` becomes a cleanup of the task that dropped it: see the
/// [module](super). So `close` may wait. It runs beside the code that follows, and has
/// finished when the task's `JoinHandle` is ready. [`close`](AsyncGuard::close) runs
/// the cleanup and waits for it.
///
/// If the guard is dropped outside tasks, but on the thread of a runtime, a task is
/// spawned for the cleanup. Without a runtime the cleanup cannot run, and is reported.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::AsyncGuard;
/// use coreloop::time::sleep;
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// # coreloop::block_on(async {
/// let closed = Rc::new(Cell::new(0));
/// let task = coreloop::spawn({
///     let closed = Rc::clone(&closed);
///     async move {
///         let mut connection = AsyncGuard::new(7, async move |number| {
///             sleep(Duration::from_micros(10)).await; // Says goodbye.
///             closed.set(number);
///         });
///         *connection += 1;
///         std::future::pending::<()>().await;
///     }
/// });
/// coreloop::task::yield_now().await;
/// assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
/// assert_eq!(closed.get(), 8);
/// # })
/// ```
#[must_use = "it is closed when it is dropped"]
pub struct AsyncGuard<T: 'static, C: AsyncFnOnce(T) + 'static> {
    /// `None` when `close` or `disarm` has taken the parts.
    parts: Option<(T, C)>,
    created_at: &'static Location<'static>,
}

impl<T: 'static, C: AsyncFnOnce(T) + 'static> AsyncGuard<T, C> {
    /// Creates a guard that calls `close` with `value` when it is dropped.
    #[inline]
    #[track_caller]
    pub fn new(value: T, close: C) -> Self {
        Self::at(value, close, Location::caller())
    }

    pub(super) fn at(value: T, close: C, created_at: &'static Location<'static>) -> Self {
        Self {
            parts: Some((value, close)),
            created_at,
        }
    }

    /// Closes the value, and waits until `close` has finished.
    ///
    /// It also waits for the cleanups of guards that `close` drops.
    ///
    /// A cancellation of the code around it does not stop it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if this future is dropped, the rest of the cleanup runs as a
    /// cleanup of the task, as if the guard had been dropped.
    ///
    /// # Panics
    ///
    /// Panics if `close` panics.
    pub fn close(self) -> impl Future<Output = ()> {
        let closing = self.closing();
        async move {
            let Some(mut closing) = closing else {
                return;
            };
            let closed = poll_fn(|cx| closing.poll_end(cx)).await;
            if closing.is_cancelled() {
                // The owner of the cancelled node finds nothing pending after this poll,
                // and drops this future.
                if let Err(panic) = closed {
                    closing.report_panic(panic);
                }
                pending::<()>().await;
            } else if let Err(panic) = closed {
                resume_unwind(panic);
            }
        }
    }

    /// Returns the value, without closing it.
    #[must_use = "the value, which is not closed any more"]
    #[expect(clippy::missing_panics_doc, reason = "cannot happen: see the field")]
    pub fn disarm(mut self) -> T {
        let (value, _close) = self.parts.take().expect("taken by value only");
        value
    }

    fn take(&mut self) -> Option<BoxedCleanup> {
        let (value, close) = self.parts.take()?;
        let future = async move { close(value).await };
        Some(cleanup::boxed(future, self.created_at))
    }

    /// Returns the cleanup, for a bracket to run in place.
    pub(super) fn closing(mut self) -> Option<CleanupInPlace> {
        self.take().map(CleanupInPlace::new)
    }
}

impl<T: 'static, C: AsyncFnOnce(T) + 'static> Deref for AsyncGuard<T, C> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.parts.as_ref().expect("taken by value only").0
    }
}

impl<T: 'static, C: AsyncFnOnce(T) + 'static> DerefMut for AsyncGuard<T, C> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.parts.as_mut().expect("taken by value only").0
    }
}

impl<T: 'static, C: AsyncFnOnce(T) + 'static> Drop for AsyncGuard<T, C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(cleanup) = self.take() {
            run::hand_over(cleanup);
        }
    }
}

impl<T: fmt::Debug + 'static, C: AsyncFnOnce(T) + 'static> fmt::Debug for AsyncGuard<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncGuard")
            .field("value", &**self)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// Returns a guard that runs `future` when it is dropped.
///
/// The guard is an [`AsyncGuard`] of the future itself: `close` runs the future at
/// once, `disarm` returns it.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::{flush, defer};
/// use std::{cell::Cell, rc::Rc};
///
/// # coreloop::block_on(async {
/// let count = Rc::new(Cell::new(0));
/// {
///     let count = Rc::clone(&count);
///     let _guard = defer(async move { count.set(1) });
/// }
/// flush().await;
/// assert_eq!(count.get(), 1);
/// # })
/// ```
#[track_caller]
pub fn defer<F>(future: F) -> AsyncGuard<F, impl AsyncFnOnce(F) + 'static>
where
    F: Future<Output = ()> + 'static,
{
    AsyncGuard::at(future, async |future: F| future.await, Location::caller())
}
