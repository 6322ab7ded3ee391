//! [`Limit`]: the clock beside a future that may spend the budget of its task.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::task::budget;
use crate::engine::timers::sleep::Sleep;

/// What is known of the budget while a future with a time limit is polled.
///
/// Everything with a limit polls its future first and then the clock, and does both by
/// this type. Two mistakes are possible. If the clock were not polled for want of budget,
/// a future that spends all of it in each poll would never be late. If the clock were
/// polled without a budget whenever none is left, a future that could not be polled
/// because others had spent the budget would be late, although its output may be
/// there; and as being late costs nothing, a loop that tries again would never yield.
///
/// So the clock is polled without a budget only if the future spent the budget itself.
/// Even then an operation inside the future may have found no budget that would have been
/// ready. So unless the future had the budget of a whole poll, it is polled once more with
/// that before it is late. There is nothing left of the budget afterwards.
///
/// ```text
/// let mut limit = Limit::before_poll();
/// loop {
///     if the future is ready { return its output }
///     match limit.check(clock, context) {
///         Verdict::Wait => return Poll::Pending,
///         Verdict::Late => return that it is late,
///         Verdict::PollAgain => {}
///     }
/// }
/// ```
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "the clock is polled by it"]
pub struct Limit {
    before: budget::Standing,
    has_extra: bool,
}

/// What comes after a poll that was pending.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is time left.
    Wait,
    /// There is none.
    Late,
    /// There is none, but the future has to be polled once more.
    PollAgain,
}

impl Limit {
    /// Notes what is left of the budget. To be called before the future is polled.
    #[inline]
    pub fn before_poll() -> Limit {
        Limit {
            before: budget::Standing::now(),
            has_extra: false,
        }
    }

    /// The clock for a limit of `duration`: as `sleep`, but if the clock of the loop does not
    /// reach so far, there is no limit.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[inline]
    #[track_caller]
    pub fn clock(duration: Duration) -> Sleep {
        match context::current() {
            Some(event_loop) => Sleep::on(event_loop, duration),
            None => context::missing("a time limit"),
        }
    }

    /// Begins anew, as if just made, because the future made a step, such as the item of a
    /// stream.
    #[inline]
    pub fn renew(&mut self) {
        self.take_extra();
        self.before = budget::Standing::now();
    }

    /// Polls the clock of a future that was pending.
    #[inline]
    pub fn check(&mut self, clock: &mut Sleep, context: &mut Context<'_>) -> Verdict {
        if self.before.has_budget() && !budget::has_left() {
            return self.check_unconstrained(clock, context);
        }
        match Pin::new(clock).poll(context) {
            Poll::Pending => Verdict::Wait,
            Poll::Ready(()) => Verdict::Late,
        }
    }

    #[cold]
    fn check_unconstrained(&mut self, clock: &mut Sleep, context: &mut Context<'_>) -> Verdict {
        if budget::unconstrained(|| Pin::new(clock).poll(context)).is_pending() {
            return Verdict::Wait;
        }
        if self.before.is_whole() || !self.before.was_refused() {
            return Verdict::Late;
        }
        budget::refill();
        self.has_extra = true;
        self.before = budget::Standing::now();
        Verdict::PollAgain
    }

    #[inline]
    fn take_extra(&mut self) {
        if self.has_extra {
            self.has_extra = false;
            budget::exhaust();
        }
    }
}

impl Drop for Limit {
    #[inline]
    fn drop(&mut self) {
        self.take_extra();
    }
}
