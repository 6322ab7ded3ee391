//! [`Sleep`]: waiting until a point in time.

use std::time::Duration;

use crate::engine::core::context;
use crate::engine::core::sleep::Sleep;
use crate::engine::timers::instant::Instant;

/// Returns a future that waits for `duration`.
///
/// The time counts from this call, not from the first poll. The sleep never ends early,
/// with one exception: a duration that is out of the clock's range, such as
/// [`Duration::MAX`], is taken for thirty years, as in tokio. A [paused](super::pause)
/// clock jumps that far if nothing else can happen.
///
/// # Cancel safety
///
/// Cancel safe: dropping the future cancels the timer.
///
/// # Panics
///
/// Panics outside a runtime.
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

/// Returns a future that waits until `deadline`.
///
/// It is ready at the first poll if the deadline had passed when the runtime last read
/// its clock, for instance for a call of [`Instant::now`].
///
/// # Cancel safety
///
/// Cancel safe: dropping the future cancels the timer.
///
/// # Panics
///
/// Panics outside a runtime.
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
