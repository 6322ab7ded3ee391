//! [`as_completed`] and [`wait`]: outputs in the order in which they come.

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
use crate::scope::child::{Body, Children};
use crate::task::join_set::JoinSet;

/// Runs several futures at the same time, and gives their outputs as they come.
///
/// The futures may borrow. They are polled by whoever awaits
/// [`next`](AsCompleted::next), each when it is woken, and dropped with what
/// this returns, which is a [`Stream`] too.
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
    for future in futures {
        let (future, outputs) = (future.into_future(), Rc::clone(&outputs));
        children.insert(Completing { future, outputs });
    }
    AsCompleted { children, outputs }
}

pin_project! {
    /// The future of a child, whose output comes as soon as it returns.
    struct Completing<F: Future> {
        #[pin]
        future: F,
        outputs: Rc<RefCell<VecDeque<F::Output>>>,
    }
}

impl<F: Future> Future for Completing<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let output = ready!(this.future.poll(context));
        this.outputs.borrow_mut().push_back(output);
        Poll::Ready(())
    }
}

impl<F: Future> Body for Completing<F> {
    fn put_off(&self, _: ChildCleanups) {}
}

/// Outputs as they come: see [`as_completed`].
#[must_use = "the futures are polled by `next` only"]
pub struct AsCompleted<'a, T> {
    children: Rc<Children<'a>>,
    outputs: Rc<RefCell<VecDeque<T>>>,
}

impl<T> AsCompleted<'_, T> {
    /// The next output, or `None` if there are no more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an output that was not given comes at the next call.
    ///
    /// # Panics
    ///
    /// If one of the futures does. The others go on at the next call.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](AsCompleted::next), for the last task that polls.
    ///
    /// # Panics
    ///
    /// As `next` does.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut is_behind = false;
        if !self.outputs.borrow().is_empty() || self.children.is_empty() {
            ready!(budget::poll_proceed(context));
        } else {
            let mut panicked = None;
            let is_frozen = || budget::poll_thawed().is_pending();
            let mut failed = |panic| match panicked {
                Some(_) => panics::discard(panic),
                None => panicked = Some(panic),
            };
            is_behind = self.children.poll(context, is_frozen, &mut failed);
            if let Some(panic) = panicked {
                resume_unwind(panic);
            }
        }
        let output = self.outputs.borrow_mut().pop_front();
        if output.is_none() && !self.children.is_empty() {
            if is_behind {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        Poll::Ready(output)
    }
}

impl<T> Stream for AsCompleted<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_next(context)
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

/// What [`wait`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// One task is over.
    First,
    /// One returned an error, panicked or was aborted; or all are over.
    FirstError,
    /// All are over.
    All,
}

/// Waits for some or all tasks of a set, and takes those that are over out of
/// it, in the order in which they ended. The others stay.
///
/// As `concurrent.futures.wait` of Python.
///
/// # Cancel safety
///
/// Not cancel safe: the outputs of tasks that are over are lost if it is dropped
/// while it waits for more. With [`Until::First`] nothing is.
///
/// # Errors
///
/// Those in the list: of a task, or of its end.
///
/// # Examples
///
/// ```
/// use coreloop::scope::{Until, wait};
/// use coreloop::task::JoinSet;
///
/// # coreloop::block_on(async {
/// let mut set = JoinSet::new();
/// set.spawn(async { Ok(1) });
/// set.spawn(async { Err("failed") });
/// set.spawn(std::future::pending());
/// let done = wait(&mut set, Until::FirstError).await;
/// assert_eq!((done.len(), set.len()), (2, 1));
/// # })
/// ```
pub async fn wait<T: 'static, E: 'static>(
    set: &mut JoinSet<Result<T, E>>,
    until: Until,
) -> Vec<Result<Result<T, E>, JoinError>> {
    let mut done = Vec::new();
    let mut is_enough = false;
    while !is_enough && let Some(result) = set.join_next().await {
        is_enough = match until {
            Until::First => true,
            Until::FirstError => !matches!(result, Ok(Ok(_))),
            Until::All => false,
        };
        done.push(result);
    }
    while let Some(result) = set.try_join_next() {
        done.push(result);
    }
    done
}
