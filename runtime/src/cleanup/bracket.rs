//! [`bracket`]: opening a value, using it, and closing it however the use ends.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::cleanup::guard::AsyncGuard;
use crate::engine::cancel::in_place::CleanupInPlace;
use crate::engine::cancel::node_guard::NodeGuard;
use crate::engine::panics::{self, Payload};
use crate::engine::task::budget::poll_thawed;

/// Opens a value, runs `body` with it, and closes it, however `body` ends.
///
/// `body` borrows the opened value, and may borrow anything else. When it has returned
/// or panicked, or the bracket is cancelled, `body` is dropped, and the cleanups of the
/// guards in it run. Then `close` runs to its end, and so do the cleanups of the guards
/// that it drops, before this future returns, or before the code that was cancelled is
/// dropped. So nested brackets and guards are closed from the inside out. If the
/// bracket itself is dropped before that, by `select!` for instance, `close` runs
/// as a cleanup of the task.
///
/// Nothing can happen between the end of `open` and the start of `body`. If the bracket
/// is cancelled during `open`, nothing was opened and nothing is closed.
///
/// # Cancel safety
///
/// Cancel safe: if the future is dropped, the task closes the value. Nothing else is
/// lost, except what dropping the future of `body` loses.
///
/// # Panics
///
/// Panics if `open`, `body` or `close` panics, with the same panic. If both `body` and
/// `close` panic, the panic of `close` is reported instead.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::bracket;
/// use std::{cell::Cell, rc::Rc};
///
/// # coreloop::block_on(async {
/// let open = Rc::new(Cell::new(false));
/// let (opens, closes) = (Rc::clone(&open), Rc::clone(&open));
/// let mut words = Vec::new();
/// let length = bracket(
///     async || {
///         opens.set(true);
///         String::from("opened")
///     },
///     async |text| {
///         words.push("borrowed"); // From outside the body, like `text`.
///         text.len()
///     },
///     async move |_text| closes.set(false),
/// )
/// .await;
/// assert_eq!((length, open.get()), (6, false));
/// assert_eq!(words, ["borrowed"]);
/// # })
/// ```
#[track_caller]
pub fn bracket<T, R, O, B, C>(open: O, body: B, close: C) -> impl Future<Output = R>
where
    T: 'static,
    O: AsyncFnOnce() -> T,
    B: AsyncFnOnce(&mut T) -> R,
    C: AsyncFnOnce(T) + 'static,
{
    let created_at = Location::caller();
    async move {
        // Do not even start in frozen code.
        poll_fn(|_| poll_thawed()).await;
        let mut guard = AsyncGuard::at(open().await, close, created_at);
        let node_guard = NodeGuard::new();
        let pending_cleanup = node_guard.add_pending();
        // Called inside, because it may panic before it returns a future.
        let outcome = use_it(&node_guard, async { body(&mut guard).await }).await;
        let mut closing = guard.closing();
        let closed = match &mut closing {
            Some(closing) => run(&node_guard, closing).await,
            None => Ok(()),
        };
        drop(pending_cleanup);
        let is_cancelled = node_guard.node().is_outer_cancelled();
        match (outcome, closed) {
            (Some(Ok(output)), Ok(())) if !is_cancelled => return output,
            (Some(Ok(_)), Err(panic)) if !is_cancelled => resume_unwind(panic),
            (outcome, closed) => {
                if let (Some(closing), Err(panic)) = (closing, closed) {
                    closing.report_panic(panic);
                }
                if let Some(Err(panic)) = outcome {
                    resume_unwind(panic);
                }
            }
        }
        // The owner of the cancelled node finds nothing pending after this poll, and drops
        // this future.
        pending().await
    }
}

/// Drives the body to its end: an output, a panic, or `None` if it was cancelled and
/// has no cleanup pending. Then drops it, and waits for the cleanups of the guards in
/// it.
async fn use_it<R>(
    node_guard: &NodeGuard,
    body: impl Future<Output = R>,
) -> Option<Result<R, Payload>> {
    let mut body = pin!(Some(body));
    let outcome = poll_fn(|cx| poll_body(node_guard, body.as_mut(), cx)).await;
    let dropped = panics::catch(|| node_guard.drop_inside(|| body.set(None)));
    poll_fn(|cx| node_guard.poll_empty(cx)).await;
    match dropped {
        Ok(()) => outcome,
        Err(panic) if matches!(outcome, Some(Err(_))) => {
            panics::discard(panic);
            outcome
        }
        Err(panic) => Some(Err(panic)),
    }
}

fn poll_body<F: Future>(
    node_guard: &NodeGuard,
    body: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<F::Output, Payload>>> {
    let Some(body) = body.as_pin_mut() else {
        return Poll::Ready(None);
    };
    let polled = node_guard.poll(cx, |cx| catch_unwind(AssertUnwindSafe(|| body.poll(cx))));
    let node = node_guard.node();
    match polled {
        Ok(Poll::Ready(output)) => Poll::Ready(Some(Ok(output))),
        Err(panic) => Poll::Ready(Some(Err(panic))),
        Ok(Poll::Pending) if node.is_cancelled() && node.may_drop(1, cx) => Poll::Ready(None),
        Ok(Poll::Pending) => Poll::Pending,
    }
}

/// Drives `close` to its end.
async fn run(node_guard: &NodeGuard, closing: &mut CleanupInPlace) -> Result<(), Payload> {
    poll_fn(|cx| {
        // Registers with the node, so that a cancellation wakes this future.
        node_guard.attach(cx);
        closing.poll_end(cx)
    })
    .await
}
