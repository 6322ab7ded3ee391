//! [`cancel_scope`], [`timeout`] and [`timeout_at`]: parts of a task that can be cancelled.

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::node_guard::NodeGuard;
use crate::engine::core::context::EnteredScope;
use crate::engine::core::limit::{Limit, Verdict};
use crate::engine::core::sleep::Sleep;
use crate::engine::timers::instant::Instant;
use crate::time::error::Elapsed;
use crate::time::sleep::{sleep, sleep_until};

/// Runs `body`, and cancels it when the [`Canceller`] that it receives is used.
///
/// Cancelling does to the body what an abort does to a task: the body is frozen, its
/// brackets run their cleanups and its shields complete. Then the body is dropped, the
/// task runs the cleanups of its guards, and this function returns [`Cancelled`]. See
/// [`cleanup`](crate::cleanup). A cancelled body stays frozen: whatever it awaits next
/// does not make progress. If the body returns, its output too is returned only after
/// the cleanups of its guards have run.
///
/// If an enclosing scope or the task is cancelled too, this future never completes; the
/// enclosing scope or the task drops it. A body that returns before it has to wait
/// returns its output even if it was cancelled.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping the body's future loses.
///
/// # Errors
///
/// Returns [`Cancelled`] if the scope was cancelled before its body returned.
///
/// # Examples
///
/// ```
/// use coreloop::scope::cancel_scope;
/// use coreloop::time::sleep;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let result = cancel_scope(async |canceller| {
///     coreloop::spawn(async move {
///         sleep(Duration::from_millis(1)).await;
///         canceller.cancel();
///     });
///     std::future::pending::<()>().await;
/// });
/// assert!(result.await.is_err());
/// # })
/// ```
pub async fn cancel_scope<R>(body: impl AsyncFnOnce(Canceller) -> R) -> Result<R, Cancelled> {
    let node_guard = NodeGuard::new();
    let canceller = Canceller {
        node: Rc::clone(node_guard.node()),
    };
    run(&node_guard, body(canceller), None)
        .await
        .ok_or(Cancelled(()))
}

/// Waits for `future`, and cancels it when `duration` has passed since this call.
///
/// Unlike [`time::timeout`](crate::time::timeout), this cancels the future as
/// [`cancel_scope`] does, and waits for its brackets and the cleanups of its guards, so
/// it may return later than after `duration`. If the future completes in time, the
/// cleanups of its guards run too before its output is returned. `Duration::MAX` means
/// no limit.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Errors
///
/// Returns [`Elapsed`] if `duration` passed before the future was ready.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::scope;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let stuck = scope::timeout(Duration::from_millis(1), std::future::pending::<()>());
/// assert!(stuck.await.is_err());
/// # })
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(
    duration: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
    let timer = sleep(duration);
    cancel_by(timer, future)
}

/// Waits for `future`, and cancels it at `deadline`.
///
/// Unlike [`time::timeout_at`](crate::time::timeout_at), this cancels the future as
/// [`cancel_scope`] does, and waits for its brackets and the cleanups of its guards, so
/// it may return later than at `deadline`. If the future completes in time, the cleanups
/// of its guards run too before its output is returned.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Errors
///
/// Returns [`Elapsed`] if the deadline passed before the future was ready.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::bracket;
/// use coreloop::scope::timeout_at;
/// use coreloop::time::Instant;
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// # coreloop::block_on(async {
/// let closed = Rc::new(Cell::new(false));
/// let flag = Rc::clone(&closed);
/// let use_it = async |_: &mut ()| std::future::pending::<()>().await;
/// let used = bracket(async || (), use_it, async move |()| flag.set(true));
/// let soon = Instant::now() + Duration::from_millis(1);
/// assert!(timeout_at(soon, used).await.is_err());
/// assert!(closed.get());
/// # })
/// ```
pub async fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    cancel_by(sleep_until(deadline), future).await
}

/// The former name of [`timeout_at`].
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Errors
///
/// Returns [`Elapsed`] if the deadline passed before the future was ready.
#[deprecated(since = "0.1.0", note = "renamed to `scope::timeout_at`")]
pub async fn deadline<F: IntoFuture>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(deadline, future).await
}

async fn cancel_by<F: IntoFuture>(timer: Sleep, future: F) -> Result<F::Output, Elapsed> {
    let node_guard = NodeGuard::new();
    node_guard.node().set_deadline(timer.deadline());
    let output = run(&node_guard, future.into_future(), Some(timer)).await;
    output.ok_or_else(Elapsed::new)
}

/// Polls the body until it returns, or, if it is cancelled, until it may be dropped, and
/// then waits for its cleanups. Returns `None` if it was cancelled. Never returns if an
/// enclosing cancel node is cancelled too.
async fn run<F: Future>(
    node_guard: &NodeGuard,
    body: F,
    mut timer: Option<Sleep>,
) -> Option<F::Output> {
    let mut body = pin!(Some(body));
    let output = poll_fn(|cx| poll_run(node_guard, body.as_mut(), &mut timer, cx)).await;
    node_guard.drop_inside(|| body.set(None));
    if node_guard.node().is_outer_cancelled() {
        return pending().await;
    }
    node_guard.until_empty().await;
    output
}

fn poll_run<F: Future>(
    node_guard: &NodeGuard,
    mut body: Pin<&mut Option<F>>,
    timer: &mut Option<Sleep>,
    cx: &mut Context<'_>,
) -> Poll<Option<F::Output>> {
    let node = node_guard.node();
    let mut limit = Limit::before_poll();
    loop {
        let Some(body) = body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = {
            let _inside = EnteredScope::new();
            node_guard.poll(cx, |cx| body.poll(cx))
        };
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Some(output));
        }
        let Some(clock) = timer else { break };
        match limit.check(clock, cx) {
            Verdict::Wait => break,
            Verdict::Late => {
                *timer = None;
                node.cancel_due(Instant::now());
                break;
            }
            Verdict::PollAgain => {}
        }
    }
    let ends = node.is_cancelled() && node.may_drop(0, cx) && !node.is_outer_cancelled();
    if ends {
        Poll::Ready(None)
    } else {
        Poll::Pending
    }
}

/// A handle that cancels a [`cancel_scope`], from inside or outside of it.
///
/// The handle may outlive the scope, and then has no effect.
#[derive(Clone)]
pub struct Canceller {
    node: Rc<CancelNode>,
}

impl Canceller {
    /// Cancels the scope, unless it is cancelled already.
    ///
    /// If the body itself calls this, it continues until its next `.await`, which does not
    /// complete.
    pub fn cancel(&self) {
        self.node.cancel();
    }

    /// Returns `true` if the scope, an enclosing scope or the task was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// The error that [`cancel_scope`] returns if it was cancelled before its body returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled(());

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the scope was cancelled")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}
