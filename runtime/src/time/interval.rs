//! Ticks at equal distances.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::engine::timers::clock::{after, nanos};
use crate::engine::timers::instant::Instant;
use crate::engine::timers::sleep::Sleep;
use crate::time::{sleep, sleep_until};

/// A tick that is late by more than this, in nanoseconds, counts as missed.
const TOLERANCE: u64 = 5_000_000;

/// Ticks now, and then after each `period`.
///
/// The ticks are counted from this call: what is done between two of them does
/// not put off the next. What becomes of ticks that are missed, because too much
/// was done, is up to the [`MissedTickBehavior`].
///
/// # Panics
///
/// If `period` is zero, and outside a runtime.
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

/// Ticks at `start`, and then after each `period`.
///
/// A `start` that has passed counts as a tick, and those between it and now as
/// missed. See [`interval`].
///
/// # Panics
///
/// If `period` is zero, and outside a runtime.
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

/// When the ticks come after one that was missed.
///
/// A tick is missed if [`Interval::tick`] finds it more than 5 ms late. It comes
/// at once in any case; this says when the next ones do. The examples have a
/// period of 50 ms, and the tick at 50 is found at 210.
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
    /// As if nothing had happened: those missed come at once, one after the
    /// other, until the interval has caught up.
    ///
    /// At 210 come the ticks of 50, 100, 150 and 200; the next is at 250.
    #[default]
    Burst,
    /// A period after the late tick was found.
    ///
    /// At 210 comes the tick of 50; the next ones are at 260 and 310.
    Delay,
    /// At the next multiple of the period; those missed do not come.
    ///
    /// At 210 comes the tick of 50; the next ones are at 250 and 300.
    Skip,
}

impl MissedTickBehavior {
    /// The tick after that of `due`, found at `now`, all in nanoseconds.
    fn next(self, due: u64, now: u64, period: u64) -> u64 {
        match self {
            MissedTickBehavior::Burst => after(due, period),
            MissedTickBehavior::Delay => after(now, period),
            MissedTickBehavior::Skip => {
                let since_last = (now - due) % period;
                after(now, period - since_last)
            }
        }
    }
}

/// Ticks at equal distances: see [`interval`].
#[derive(Debug)]
pub struct Interval {
    /// Until the next tick.
    delay: Sleep,
    period: Duration,
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    fn new(delay: Sleep, period: Duration) -> Interval {
        Interval {
            delay,
            period,
            missed_tick_behavior: MissedTickBehavior::default(),
        }
    }

    /// Waits for the next tick, and returns when it was due.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a tick counts when this is ready, not before.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|context| self.poll_tick(context)).await
    }

    /// Polls for the next tick: the point in time when it was due, if that has
    /// come; otherwise the task of the last such poll is woken then.
    pub fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.delay).poll(context));
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

    /// Has the next tick come a period from now.
    ///
    /// As the other resets it discards ticks that were missed, and wakes who
    /// waits for a tick at the new time.
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

    /// Has the next tick come at once.
    pub fn reset_immediately(&mut self) {
        self.reset_in(0);
    }

    /// Has the next tick come after `after`, and those that follow a period
    /// apart.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_in(nanos(after));
    }

    /// Has the next tick come at `deadline`, and those that follow a period
    /// apart. If that has passed, the [`MissedTickBehavior`] says when they come.
    pub fn reset_at(&mut self, deadline: Instant) {
        Pin::new(&mut self.delay).reset(deadline);
    }

    fn reset_in(&mut self, nanos: u64) {
        let deadline = after(self.delay.now(), nanos);
        self.delay.reset_nanos(deadline);
    }

    /// What becomes of missed ticks.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Says what is to become of missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }

    /// The time from tick to tick.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}
