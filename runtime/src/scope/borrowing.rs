//! [`scope`]: children that borrow.

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

/// Runs `body`, and the children that it spawns, to the end of all of them.
///
/// Children may borrow what lives longer than the call, and change it too, as
/// they are not tasks of their own: the future that this returns polls them in
/// its place, each when it is woken. They so take turns with the body, and wait
/// at the same time. They may spawn siblings.
///
/// When the body has returned, the scope waits for the children that are left, and then
/// for the cleanups of the guards that the body and the children have dropped. If it is
/// cancelled so are they: see [`cleanup`](crate::cleanup). To cancel the children
/// alone, put the scope in a [`cancel_scope`](super::cancel_scope).
///
/// # Cancel safety
///
/// Cancel safe: the body is dropped, and then the children in the order in which
/// they were spawned; what dropping these loses is lost.
///
/// # Panics
///
/// If the body or a child does. The others are cancelled first, and their
/// cleanups done. Of several panics the first goes on.
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
    let branch = NodeGuard::new();
    let children = Owner(Children::new(Rc::clone(branch.group())));
    let body = body(Scope {
        children: Rc::clone(&children.0),
    });
    let mut running = pin!(Running {
        body: Some(body),
        children: &children.0,
        output: None,
        panic: None,
    });
    let ended = poll_fn(|context| running.as_mut().poll(&branch, context)).await;
    branch.drop_inside(|| {
        running.as_mut().project().body.set(None);
        children.0.close();
    });
    if branch.node().is_outer_cancelled() {
        return pending().await;
    }
    branch.closed().await;
    match ended {
        Ok(output) => output,
        Err(panic) => resume_unwind(panic),
    }
}

/// The children are dropped with the future of the scope.
struct Owner<'env>(Rc<Children<'env>>);

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

pin_project_lite::pin_project! {
    #[project = RunningProjection]
    struct Running<'a, 'env, F: Future> {
        // Until it is over.
        #[pin]
        body: Option<F>,
        children: &'a Children<'env>,
        output: Option<F::Output>,
        // The first.
        panic: Option<Payload>,
    }
}

impl<F: Future> Running<'_, '_, F> {
    /// Ready when all are over, or, after a panic, those that were cancelled
    /// are ready to be dropped.
    fn poll(
        self: Pin<&mut Self>,
        branch: &NodeGuard,
        context: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Payload>> {
        let mut this = self.project();
        let node = branch.node();
        let is_behind = branch.poll(context, |context| {
            let mut fail = |panic| {
                match this.panic {
                    Some(_) => panics::discard(panic),
                    None => *this.panic = Some(panic),
                }
                node.cancel();
            };
            // The body has its turn at the start of each round.
            if !this.children.is_amid_round()
                && let Some(body) = this.body.as_mut().as_pin_mut()
            {
                let polled = panics::catch(|| body.poll(context));
                let is_over = !matches!(polled, Ok(Poll::Pending));
                match polled {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(output)) => *this.output = Some(output),
                    Err(panic) => fail(panic),
                }
                if is_over && let Err(panic) = panics::catch(|| this.body.set(None)) {
                    fail(panic);
                }
                // Children that are polled now would be refused.
                if budget::is_spent() && this.children.put_off_round(context) {
                    return true;
                }
            }
            this.children
                .poll(context, || node.is_cancelled(), &mut fail)
        });
        let ended = this.poll_end(branch, context);
        if ended.is_pending() && is_behind {
            context.waker().wake_by_ref();
        }
        ended
    }
}

impl<F: Future> RunningProjection<'_, '_, '_, F> {
    /// Whether the scope has ended: see [`Running::poll`].
    fn poll_end(
        &mut self,
        branch: &NodeGuard,
        context: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Payload>> {
        let node = branch.node();
        if node.is_cancelled() {
            let quiet = node.may_drop(0, context);
            if quiet && let Some(panic) = self.panic.take() {
                return Poll::Ready(Err(panic));
            }
        } else if self.children.has_new() {
            context.waker().wake_by_ref();
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

/// Spawns children of a [`scope`]. It can be cloned, for children to spawn
/// siblings.
pub struct Scope<'env> {
    children: Rc<Children<'env>>,
}

impl<'env> Scope<'env> {
    /// Has the scope run `future` beside its body. Dropping the handle changes
    /// nothing: the scope waits for the child all the same.
    ///
    /// A child that is spawned when the scope is cancelled is not begun. When
    /// the scope is over the future is dropped, and the handle is never ready.
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
        Scope {
            children: Rc::clone(&self.children),
        }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
