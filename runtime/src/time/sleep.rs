//! Waiting for a time.

use std::time::Duration;

use crate::engine::core::context;
use crate::engine::timers::instant::Instant;
use crate::engine::timers::sleep::Sleep;

/// Waits for `duration`.
///
/// The time counts from this call, not from the first poll. It is never over
/// early, with one exception: a duration that the clock does not reach, as
/// [`Duration::MAX`], is taken for thirty years, as in tokio. A clock that is
/// [paused](super::pause) jumps that far if nothing else is to happen.
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::sleep;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// sleep(Duration::from_micros(100)).await;
/// # })
/// ```
#[inline]
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    match context::current() {
        Some(event_loop) => Sleep::after(event_loop, duration),
        None => context::missing("sleep"),
    }
}

/// Waits until `deadline`.
///
/// It is ready at the first poll if the runtime knows that this has passed, for
/// instance as it was compared with [`Instant::now`].
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::{Instant, sleep_until};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let deadline = Instant::now() + Duration::from_millis(1);
/// sleep_until(deadline).await;
/// assert!(Instant::now() >= deadline);
/// # })
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    match context::current() {
        Some(event_loop) => Sleep::until(event_loop, deadline),
        None => context::missing("sleep_until"),
    }
}
