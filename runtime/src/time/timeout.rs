//! [`Timeout`]: a future with a time limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::engine::core::limit::{Limit, Verdict};
use crate::engine::core::sleep::Sleep;
use crate::engine::timers::instant::Instant;
use crate::time::error::Elapsed;
use crate::time::sleep::sleep_until;

/// Runs `future` until it is ready, but for no longer than `duration`.
///
/// The future is polled first: if it is ready at the first poll, its output is returned
/// even if `duration` is zero, and so it is if the future becomes ready in the poll
/// after the time has passed. It is dropped with the `Timeout`. With [`Duration::MAX`]
/// there is no limit.
///
/// The limit also applies to a future that spends the [budget](crate::task::coop) of
/// its task in every poll. If other futures of the task have spent the budget, so that
/// `future` could not be polled, the `Timeout` is pending and its task runs again.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Errors
///
/// Returns [`Elapsed`] if the time passes first.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::timeout;
/// use std::{future::pending, time::Duration};
///
/// # coreloop::block_on(async {
/// let never = pending::<()>();
/// assert!(timeout(Duration::from_millis(1), never).await.is_err());
/// # })
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: Limit::clock(duration),
    }
}

/// Runs `future` until it is ready, but not beyond `deadline`.
///
/// See [`timeout`].
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost but what dropping `future` loses.
///
/// # Errors
///
/// Returns [`Elapsed`] if the deadline passes first.
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// One limit for two steps:
///
/// ```
/// use coreloop::time::{Instant, sleep, timeout_at};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let deadline = Instant::now() + Duration::from_millis(5);
/// let short = Duration::from_micros(100);
/// assert!(timeout_at(deadline, sleep(short)).await.is_ok());
/// let long = Duration::from_secs(5);
/// assert!(timeout_at(deadline, sleep(long)).await.is_err());
/// # })
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep_until(deadline),
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// Returns a reference to the future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Returns a mutable reference to the future.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Returns the future, without its limit.
    #[must_use]
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut limit = Limit::before_poll();
        loop {
            if let Poll::Ready(output) = this.future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            match limit.check(this.sleep, cx) {
                Verdict::Wait => return Poll::Pending,
                Verdict::Late => return Poll::Ready(Err(Elapsed::new())),
                Verdict::PollAgain => {}
            }
        }
    }
}
