//! [`as_completed`] and [`wait`]: outputs in the order in which they are ready.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::engine::cancel::site::ChildCleanups;
use crate::engine::panics;
use crate::engine::task::budget;
use crate::engine::task::error::JoinError;
use crate::scope::child::{ChildFuture, Children};
use crate::task::join_set::JoinSet;

/// Runs several futures at the same time, and returns their outputs as they complete.
///
/// The futures may borrow. They run only while [`next`](AsCompleted::next) is awaited,
/// within the awaiting task, and each is polled when it is woken. Dropping the returned
/// [`AsCompleted`], which is a [`Stream`] too, drops the futures that have not completed.
///
/// # Examples
///
/// ```
/// use coreloop::scope::as_completed;
/// use coreloop::time::sleep;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let mut outputs = as_completed([30_u64, 10, 20].map(async |millis| {
///     sleep(Duration::from_millis(millis)).await;
///     millis
/// }));
/// let mut order = Vec::new();
/// while let Some(millis) = outputs.next().await {
///     order.push(millis);
/// }
/// assert_eq!(order, [10, 20, 30]);
/// # })
/// ```
pub fn as_completed<'a, I>(futures: I) -> AsCompleted<'a, <I::Item as IntoFuture>::Output>
where
    I: IntoIterator,
    I::Item: IntoFuture,
    <I::Item as IntoFuture>::IntoFuture: 'a,
    <I::Item as IntoFuture>::Output: 'a,
{
    let outputs = Rc::new(RefCell::new(VecDeque::new()));
    let children = Children::new(Rc::default());
    let mut completed = AsCompleted { children, outputs };
    for future in futures {
        completed.push(future);
    }
    completed
}

pin_project! {
    /// A child that queues its output as soon as its future returns.
    struct Completing<F: Future> {
        #[pin]
        future: F,
        outputs: Rc<RefCell<VecDeque<F::Output>>>,
    }
}

impl<F: Future> Future for Completing<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        this.outputs.borrow_mut().push_back(output);
        Poll::Ready(())
    }
}

impl<F: Future> ChildFuture for Completing<F> {
    fn wait_for_cleanups(self: Pin<&mut Self>, _: ChildCleanups) {}
}

/// The outputs of several futures, as they complete: see [`as_completed`].
#[must_use = "the futures are polled by `next` only"]
pub struct AsCompleted<'a, T> {
    children: Rc<Children<'a>>,
    outputs: Rc<RefCell<VecDeque<T>>>,
}

impl<'a, T: 'a> AsCompleted<'a, T> {
    /// Adds a future, even if all others have completed.
    ///
    /// It is polled for the first time by the next call of [`next`](AsCompleted::next).
    ///
    /// # Examples
    ///
    /// At most two futures at a time:
    ///
    /// ```
    /// use coreloop::scope::as_completed;
    /// use coreloop::task::yield_now;
    ///
    /// # coreloop::block_on(async {
    /// let work = async |number: u32| {
    ///     yield_now().await;
    ///     number
    /// };
    /// let mut outputs = as_completed([work(0), work(1)]);
    /// let mut sum = 0;
    /// for number in 2..10 {
    ///     sum += outputs.next().await.unwrap_or_default();
    ///     outputs.push(work(number));
    /// }
    /// while let Some(number) = outputs.next().await {
    ///     sum += number;
    /// }
    /// assert_eq!(sum, 45);
    /// # })
    /// ```
    pub fn push<F>(&mut self, future: F)
    where
        F: IntoFuture<Output = T>,
        F::IntoFuture: 'a,
    {
        let (future, outputs) = (future.into_future(), Rc::clone(&self.outputs));
        self.children.insert(Completing { future, outputs });
    }
}

impl<T> AsCompleted<'_, T> {
    /// Waits for the next output, or returns `None` if all have been returned. After
    /// [`push`](AsCompleted::push) there may be another one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next call returns the output.
    ///
    /// # Panics
    ///
    /// Panics if one of the futures does. The others continue at the next call.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next output, like [`next`](AsCompleted::next). Only the last task that
    /// polled is woken.
    ///
    /// # Panics
    ///
    /// Panics if one of the futures does.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut is_behind = false;
        if !self.outputs.borrow().is_empty() || self.children.is_empty() {
            ready!(budget::poll_proceed(cx));
        } else {
            let mut panicked = None;
            let is_frozen = || budget::poll_thawed().is_pending();
            let mut failed = |panic| match panicked {
                Some(_) => panics::discard(panic),
                None => panicked = Some(panic),
            };
            is_behind = self.children.poll(cx, is_frozen, &mut failed);
            if let Some(panic) = panicked {
                resume_unwind(panic);
            }
        }
        let output = self.outputs.borrow_mut().pop_front();
        if output.is_none() && !self.children.is_empty() {
            if is_behind {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        Poll::Ready(output)
    }
}

impl<T> Stream for AsCompleted<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_next(cx)
    }
}

impl<T> Drop for AsCompleted<'_, T> {
    fn drop(&mut self) {
        self.children.close();
    }
}

impl<T> fmt::Debug for AsCompleted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").finish_non_exhaustive()
    }
}

/// The condition under which [`wait`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// When one task has finished.
    First,
    /// When one task has returned an error, panicked or been aborted, or all have finished.
    FirstError,
    /// When all tasks have finished.
    All,
}

/// The former name of [`ReturnWhen`].
#[deprecated(since = "0.1.0", note = "renamed to `ReturnWhen`")]
pub type Until = ReturnWhen;

/// Waits for one or all tasks of a set, and removes the finished ones from it.
///
/// Returns their results in the order in which they finished. The other tasks stay in
/// the set. This is Python's `concurrent.futures.wait`.
///
/// # Cancel safety
///
/// Not cancel safe: the results of tasks that have finished are lost if the future is
/// dropped while it waits for more. With [`ReturnWhen::First`] nothing is lost.
///
/// # Errors
///
/// The call itself does not fail. Each result in the list may be the error that the
/// task returned, or a [`JoinError`] if the task panicked or was aborted.
///
/// # Examples
///
/// ```
/// use coreloop::scope::{ReturnWhen, wait};
/// use coreloop::task::JoinSet;
///
/// # coreloop::block_on(async {
/// let mut set = JoinSet::new();
/// set.spawn(async { Ok(1) });
/// set.spawn(async { Err("failed") });
/// set.spawn(std::future::pending());
/// let done = wait(&mut set, ReturnWhen::FirstError).await;
/// assert_eq!((done.len(), set.len()), (2, 1));
/// # })
/// ```
pub async fn wait<T: 'static, E: 'static>(
    set: &mut JoinSet<Result<T, E>>,
    return_when: ReturnWhen,
) -> Vec<Result<Result<T, E>, JoinError>> {
    let mut done = Vec::new();
    let mut is_enough = false;
    while !is_enough && let Some(result) = set.join_next().await {
        is_enough = match return_when {
            ReturnWhen::First => true,
            ReturnWhen::FirstError => !matches!(result, Ok(Ok(_))),
            ReturnWhen::All => false,
        };
        done.push(result);
    }
    while let Some(result) = set.try_join_next() {
        done.push(result);
    }
    done
}
