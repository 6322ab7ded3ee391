//! [`scope`]: children that borrow from the surrounding code.

use std::fmt;
use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::engine::cancel::node_guard::NodeGuard;
use crate::engine::panics::{self, Payload};
use crate::engine::task::budget;
use crate::scope::child::Children;
use crate::scope::spawned::{ScopedJoinHandle, Spawned};

/// Runs `body` and the children that it spawns, and waits for all of them.
///
/// Children may borrow, also mutably, from everything that outlives the call, because
/// they are not tasks of their own: the future that this function returns polls the body
/// and the children, each child when it is woken. So they take turns to run, and wait at
/// the same time. Children may spawn siblings.
///
/// When the body has returned, the scope waits for the children that are left, and then
/// for the cleanups of the guards that the body and the children have dropped. Cancelling
/// the scope cancels the children too: see [`cleanup`](crate::cleanup). To cancel the
/// children alone, put the scope in a [`cancel_scope`](super::cancel_scope).
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping the body and the children loses. The
/// body is dropped first, then the children in the order in which they were spawned.
///
/// # Panics
///
/// Panics if the body or a child does, after it has cancelled the others and run their
/// cleanups. Of several panics, the first is propagated.
///
/// # Examples
///
/// ```
/// use coreloop::scope::scope;
/// use coreloop::task::yield_now;
///
/// # coreloop::block_on(async {
/// let mut squares = [1, 2, 3, 4];
/// let sum = scope(async |scope| {
///     let (left, right) = squares.split_at_mut(2);
///     let halves = [left, right].map(|half| {
///         scope.spawn(async move {
///             for number in &mut *half {
///                 yield_now().await;
///                 *number *= *number;
///             }
///             half.iter().sum::<i32>()
///         })
///     });
///     let [left, right] = halves;
///     left.await + right.await
/// })
/// .await;
/// assert_eq!((sum, squares), (30, [1, 4, 9, 16]));
/// # })
/// ```
pub async fn scope<'env, R>(body: impl AsyncFnOnce(Scope<'env>) -> R) -> R {
    let node_guard = NodeGuard::new();
    let children = CloseOnDrop(Children::new(Rc::clone(node_guard.group())));
    let body = body(Scope {
        children: Rc::clone(&children.0),
    });
    let mut running = pin!(Running {
        body: Some(body),
        children: &children.0,
        output: None,
        panic: None,
    });
    let ended = poll_fn(|cx| running.as_mut().poll(&node_guard, cx)).await;
    node_guard.drop_inside(|| {
        running.as_mut().project().body.set(None);
        children.0.close();
    });
    if node_guard.node().is_outer_cancelled() {
        return pending().await;
    }
    node_guard.until_empty().await;
    match ended {
        Ok(output) => output,
        Err(panic) => resume_unwind(panic),
    }
}

/// Drops the children together with the future of the scope.
struct CloseOnDrop<'env>(Rc<Children<'env>>);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

pin_project_lite::pin_project! {
    #[project = RunningProjection]
    struct Running<'a, 'env, F: Future> {
        // `None` after it has returned or panicked.
        #[pin]
        body: Option<F>,
        children: &'a Children<'env>,
        output: Option<F::Output>,
        // The first panic of the body or a child.
        panic: Option<Payload>,
    }
}

impl<F: Future> Running<'_, '_, F> {
    /// Ready when the body and all children have returned, or, after a panic, when the
    /// others, which were cancelled, may be dropped.
    fn poll(
        self: Pin<&mut Self>,
        node_guard: &NodeGuard,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Payload>> {
        let mut this = self.project();
        let node = node_guard.node();
        let is_behind = node_guard.poll(cx, |cx| {
            let mut fail = |panic| {
                match this.panic {
                    Some(_) => panics::discard(panic),
                    None => *this.panic = Some(panic),
                }
                node.cancel();
            };
            // The body is polled at the start of each round.
            if !this.children.is_amid_round()
                && let Some(body) = this.body.as_mut().as_pin_mut()
            {
                let polled = panics::catch(|| body.poll(cx));
                let has_ended = !matches!(polled, Ok(Poll::Pending));
                match polled {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(output)) => *this.output = Some(output),
                    Err(panic) => fail(panic),
                }
                if has_ended && let Err(panic) = panics::catch(|| this.body.set(None)) {
                    fail(panic);
                }
                // The operations of children that are polled now would be refused.
                if budget::is_spent() && this.children.defer_round(cx) {
                    return true;
                }
            }
            this.children.poll(cx, || node.is_cancelled(), &mut fail)
        });
        let ended = this.poll_end(node_guard, cx);
        if ended.is_pending() && is_behind {
            cx.waker().wake_by_ref();
        }
        ended
    }
}

impl<F: Future> RunningProjection<'_, '_, '_, F> {
    /// Ready when the scope has ended: see [`Running::poll`].
    fn poll_end(
        &mut self,
        node_guard: &NodeGuard,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Payload>> {
        let node = node_guard.node();
        if node.is_cancelled() {
            let may_drop = node.may_drop(0, cx);
            if may_drop && let Some(panic) = self.panic.take() {
                return Poll::Ready(Err(panic));
            }
        } else if self.children.has_new() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.children.is_empty() {
            return Poll::Pending;
        }
        match self.output.take() {
            Some(output) => Poll::Ready(Ok(output)),
            None => Poll::Pending,
        }
    }
}

/// A handle that spawns children of a [`scope`].
///
/// It can be cloned and moved into children, so that they can spawn siblings.
pub struct Scope<'env> {
    children: Rc<Children<'env>>,
}

impl<'env> Scope<'env> {
    /// Spawns `future` as a child, which the scope runs concurrently with its body.
    ///
    /// The scope waits for the child even if the handle is dropped.
    ///
    /// A child that is spawned after the scope was cancelled is never polled. After the
    /// scope has ended, this drops the future, and the handle is never ready.
    pub fn spawn<F>(&self, future: F) -> ScopedJoinHandle<F::Output>
    where
        F: Future + 'env,
        F::Output: 'env,
    {
        let (child, handle) = Spawned::new(future);
        self.children.insert(child);
        handle
    }
}

impl Clone for Scope<'_> {
    fn clone(&self) -> Self {
        Self {
            children: Rc::clone(&self.children),
        }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
