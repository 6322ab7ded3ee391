//! [`Interval`]: ticks at equal distances.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::engine::core::sleep::Sleep;
use crate::engine::timers::clock::{after, nanos};
use crate::engine::timers::instant::Instant;
use crate::time::sleep::{sleep, sleep_until};

/// A tick that is late by more than this, in nanoseconds, counts as missed.
const TOLERANCE: u64 = 5_000_000;

/// Creates an interval that ticks now, and then after each `period`.
///
/// The ticks are counted from this call: work between two of them does not delay the
/// next. If the work takes so long that ticks are missed, the [`MissedTickBehavior`]
/// decides what happens.
///
/// # Panics
///
/// Panics if `period` is zero, or outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::{self, Instant, interval, sleep};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// time::pause();
/// let start = Instant::now();
/// let mut interval = interval(Duration::from_secs(10));
/// for _ in 0..4 {
///     interval.tick().await;
///     sleep(Duration::from_secs(2)).await;
/// }
/// assert_eq!(start.elapsed(), Duration::from_secs(32));
/// # })
/// ```
#[track_caller]
#[must_use]
pub fn interval(period: Duration) -> Interval {
    check(period);
    Interval::new(sleep(Duration::ZERO), period)
}

/// Creates an interval that ticks at `start`, and then after each `period`.
///
/// If `start` has passed, it counts as a tick, and the ticks between it and now are
/// missed. See [`interval`].
///
/// # Panics
///
/// Panics if `period` is zero, or outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::{self, Instant, interval_at};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// time::pause();
/// let (now, second) = (Instant::now(), Duration::from_secs(1));
/// let mut interval = interval_at(now + 5 * second, second);
/// assert_eq!(interval.tick().await, now + 5 * second);
/// assert_eq!(interval.tick().await, now + 6 * second);
/// # })
/// ```
#[track_caller]
#[must_use]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    check(period);
    Interval::new(sleep_until(start), period)
}

#[track_caller]
fn check(period: Duration) {
    assert!(
        !period.is_zero(),
        "the period of an interval must not be zero"
    );
}

/// The behaviour of an interval after it has missed a tick.
///
/// A tick is missed if [`Interval::tick`] finds it more than 5 ms late. It is returned
/// at once in any case; the behaviour decides when the next ticks are due. In the
/// examples the period is 50 ms, and `tick` finds the tick that was due at 50 ms only
/// at 210 ms.
///
/// # Examples
///
/// ```
/// use coreloop::time::{Instant, MissedTickBehavior, advance, interval};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// # coreloop::time::pause();
/// let start = Instant::now();
/// let mut ticks = interval(Duration::from_millis(50));
/// ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
/// ticks.tick().await; // At 0.
/// advance(Duration::from_millis(210)).await;
/// ticks.tick().await;
/// ticks.tick().await;
/// assert_eq!(start.elapsed(), Duration::from_millis(250));
/// # })
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Keeps the schedule: missed ticks are returned at once, one after the other,
    /// until the interval has caught up.
    ///
    /// At 210 ms come the ticks of 50, 100, 150 and 200 ms; the next is at 250 ms.
    #[default]
    Burst,
    /// Ticks one period after the late tick was returned.
    ///
    /// At 210 ms comes the tick of 50 ms; the next ones are at 260 and 310 ms.
    Delay,
    /// Ticks at the next multiple of the period; missed ticks are skipped.
    ///
    /// At 210 ms comes the tick of 50 ms; the next ones are at 250 and 300 ms.
    Skip,
}

impl MissedTickBehavior {
    /// Returns the tick after the one that was due at `due` and is returned at `now`,
    /// all in nanoseconds.
    fn next(self, due: u64, now: u64, period: u64) -> u64 {
        match self {
            Self::Burst => after(due, period),
            Self::Delay => after(now, period),
            Self::Skip => {
                let since_last = (now - due) % period;
                after(now, period - since_last)
            }
        }
    }
}

/// A source of ticks that are one period apart.
///
/// [`interval`] and [`interval_at`] create it.
#[derive(Debug)]
pub struct Interval {
    /// Ends at the next tick.
    delay: Sleep,
    period: Duration,
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    fn new(delay: Sleep, period: Duration) -> Self {
        Self {
            delay,
            period,
            missed_tick_behavior: MissedTickBehavior::default(),
        }
    }

    /// Waits for the next tick, and returns the time at which it was due.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a tick counts as used only when this returns.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick, and returns the time at which it was due.
    ///
    /// If it is not due yet, the task that polled last is woken when it is.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.delay).poll(cx));
        let due = self.delay.deadline_nanos();
        let tick = self.delay.deadline();
        let (now, period) = (self.delay.now(), nanos(self.period));
        let next = if now > due.saturating_add(TOLERANCE) {
            self.missed_tick_behavior.next(due, now, period)
        } else {
            after(due, period)
        };
        self.delay.rewind(next);
        Poll::Ready(tick)
    }

    /// Resets the interval, so that the next tick is one period from now.
    ///
    /// Like the other resets, this discards ticks that were missed, and a task that
    /// waits for a tick is woken at the new time.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::time::{self, Instant, interval, sleep};
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// time::pause();
    /// let start = Instant::now();
    /// let mut interval = interval(Duration::from_millis(100));
    /// interval.tick().await;
    /// sleep(Duration::from_millis(50)).await;
    /// interval.reset();
    /// interval.tick().await;
    /// assert_eq!(start.elapsed(), Duration::from_millis(150));
    /// # })
    /// ```
    pub fn reset(&mut self) {
        self.reset_in(nanos(self.period));
    }

    /// Resets the interval, so that the next tick is due at once.
    pub fn reset_immediately(&mut self) {
        self.reset_in(0);
    }

    /// Resets the interval, so that the next tick is due after `after`.
    ///
    /// The following ticks are one period apart.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_in(nanos(after));
    }

    /// Resets the interval, so that the next tick is due at `deadline`.
    ///
    /// The following ticks are one period apart.
    ///
    /// If `deadline` has passed, the [`MissedTickBehavior`] applies.
    pub fn reset_at(&mut self, deadline: Instant) {
        Pin::new(&mut self.delay).reset(deadline);
    }

    fn reset_in(&mut self, nanos: u64) {
        let deadline = after(self.delay.now(), nanos);
        self.delay.reset_nanos(deadline);
    }

    /// Returns what happens after missed ticks.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Sets what happens after missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }

    /// Returns the time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}
