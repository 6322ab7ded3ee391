//! [`race!`](crate::race): the first of several futures, which cancels the others.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::engine::cancel::node_guard::NodeGuard;
use crate::engine::panics::{self, Payload};

/// Waits for the first of several futures, cancels the others, and returns the first
/// output when the cleanups of all have run.
///
/// The futures have the same type of output. As soon as one is ready, the others are
/// cancelled, as by [`cancel_scope`](crate::scope::cancel_scope): they are frozen, and
/// their brackets run their cleanups. The cleanups of all guards, the winner's too, run
/// before the macro returns the output. [`select!`](crate::select), in contrast, drops the
/// other futures at once.
///
/// Whenever one future is woken, all are polled, in the order in which they are written;
/// if two are ready, the first one wins. The macro awaits, so it can be used only in
/// async code.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping the futures loses.
///
/// # Panics
///
/// Panics if one of the futures does, after it has cancelled the others.
///
/// # Examples
///
/// ```
/// use coreloop::race;
/// use coreloop::time::sleep;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let runner = async |name, micros| {
///     sleep(Duration::from_micros(micros)).await;
///     name
/// };
/// let first = race!(runner("tortoise", 100_000), runner("hare", 10));
/// assert_eq!(first, "hare");
/// # })
/// ```
#[macro_export]
macro_rules! race {
    ($($future:expr),+ $(,)?) => {
        $crate::macros::race(&mut [
            $($crate::macros::pin!($crate::macros::Racer::new($future))
                as ::std::pin::Pin<&mut dyn $crate::macros::Racing<_>>),+
        ])
        .await
    };
}

/// A future in a race, independent of its type.
pub trait Racing<T> {
    /// Polls the future, if it is still in the race.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T>;

    /// Drops the future in place.
    fn leave(self: Pin<&mut Self>);
}

pin_project! {
    /// A pinned future that can be dropped in place.
    #[derive(Debug)]
    pub struct Racer<F> {
        #[pin]
        future: Option<F>,
    }
}

impl<F> Racer<F> {
    /// Adds a future to the race.
    pub fn new<I: IntoFuture<IntoFuture = F>>(future: I) -> Self {
        Self {
            future: Some(future.into_future()),
        }
    }
}

impl<F: Future> Racing<F::Output> for Racer<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }

    fn leave(self: Pin<&mut Self>) {
        self.project().future.set(None);
    }
}

/// Waits for the first of `racers`, and cancels the others.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping the futures loses.
pub async fn race<T>(racers: &mut [Pin<&mut dyn Racing<T>>]) -> T {
    let node_guard = NodeGuard::new();
    let mut first = None;
    let mut result = poll_fn(|cx| poll_race(&node_guard, racers, &mut first, cx)).await;
    node_guard.drop_inside(|| {
        for racer in racers {
            if let Err(panic) = panics::catch(|| racer.as_mut().leave()) {
                match result {
                    Ok(_) => result = Err(panic),
                    Err(_) => panics::discard(panic),
                }
            }
        }
    });
    if node_guard.node().is_outer_cancelled() {
        return pending().await;
    }
    node_guard.until_empty().await;
    match result {
        Ok(output) => output,
        Err(panic) => resume_unwind(panic),
    }
}

/// Ready when one future has completed or panicked, and the others may be dropped.
fn poll_race<T>(
    node_guard: &NodeGuard,
    racers: &mut [Pin<&mut dyn Racing<T>>],
    first: &mut Option<Result<T, Payload>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, Payload>> {
    let node = node_guard.node();
    node_guard.poll(cx, |cx| {
        for racer in racers {
            let result = match panics::catch(|| racer.as_mut().poll(cx)) {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(panic),
            };
            let left = panics::catch(|| racer.as_mut().leave());
            match (result, left) {
                (Ok(output), Ok(())) if first.is_none() => *first = Some(Ok(output)),
                (Err(panic), _) | (Ok(_), Err(panic)) if !matches!(first, Some(Err(_))) => {
                    *first = Some(Err(panic));
                }
                (Err(panic), _) | (_, Err(panic)) => panics::discard(panic),
                (Ok(_), Ok(())) => {}
            }
            node.cancel();
        }
    });
    if first.is_none() || !node.may_drop(0, cx) {
        return Poll::Pending;
    }
    first.take().map_or(Poll::Pending, Poll::Ready)
}
