//! [`Limit`]: a time limit beside a future that may spend the budget of its task.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::core::sleep::Sleep;
use crate::engine::task::budget;

/// The state of the budget while a future with a time limit is polled.
///
/// All code with a time limit polls its future first and then the clock, and does both
/// by this type. It prevents two mistakes. If the clock were not polled for want of
/// budget, a future that spends all of it in each poll would never be late. If the
/// clock were polled without a budget whenever none is left, a future that could not be
/// polled because others had spent the budget would be late, although its output may be
/// there; and because being late costs no budget, a loop that tries again would never
/// yield.
///
/// So the clock is polled without a budget only if the future spent the budget itself.
/// Even then an operation inside the future may have been refused that would have been
/// ready. So unless the future had the budget of a whole poll, it is polled once more
/// with a whole budget before it is late. No budget is left afterwards.
///
/// ```text
/// let mut limit = Limit::before_poll();
/// loop {
///     if the future is ready { return its output }
///     match limit.check(clock, cx) {
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
    before: budget::BudgetSnapshot,
    has_extra: bool,
}

/// The next step after a poll of the future that was pending.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The limit has not passed.
    Wait,
    /// The limit has passed.
    Late,
    /// The limit has passed, but the future has to be polled once more.
    PollAgain,
}

impl Limit {
    /// Records the budget. Call this before polling the future.
    #[inline]
    pub fn before_poll() -> Limit {
        Limit {
            before: budget::BudgetSnapshot::now(),
            has_extra: false,
        }
    }

    /// Returns the clock for a limit of `duration`.
    ///
    /// It is a sleep, but there is no limit if `duration` is out of the clock's range.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[inline]
    #[track_caller]
    pub fn clock(duration: Duration) -> Sleep {
        match context::current() {
            Some(event_loop) => Sleep::on(event_loop, duration),
            None => context::missing("a time limit"),
        }
    }

    /// Starts again, like a new `Limit`, because the future made a step.
    ///
    /// A step is, for instance, an item of a stream.
    #[inline]
    pub fn renew(&mut self) {
        self.take_extra();
        self.before = budget::BudgetSnapshot::now();
    }

    /// Polls the clock after a poll of the future that was pending.
    #[inline]
    pub fn check(&mut self, clock: &mut Sleep, cx: &mut Context<'_>) -> Verdict {
        if self.before.has_budget() && !budget::has_left() {
            return self.check_unconstrained(clock, cx);
        }
        match Pin::new(clock).poll(cx) {
            Poll::Pending => Verdict::Wait,
            Poll::Ready(()) => Verdict::Late,
        }
    }

    #[cold]
    fn check_unconstrained(&mut self, clock: &mut Sleep, cx: &mut Context<'_>) -> Verdict {
        if budget::unconstrained(|| Pin::new(clock).poll(cx)).is_pending() {
            return Verdict::Wait;
        }
        if self.before.is_whole() || !self.before.was_refused() {
            return Verdict::Late;
        }
        budget::refill();
        self.has_extra = true;
        self.before = budget::BudgetSnapshot::now();
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
