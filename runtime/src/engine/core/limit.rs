//! [`Limit`]: a time limit beside a future that may spend the budget of its task.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::core::sleep::Sleep;
use crate::engine::task::budget;

/// The state of the budget while a future with a time limit is polled.
///
/// All code with a time limit polls its future first and then the clock, a [`Sleep`], and
/// uses this type for the clock. It prevents two mistakes:
///
/// - If the clock were never polled when the budget is spent, a future that spends the
///   whole budget in each poll would never be late.
/// - If the clock were always polled without a budget when the budget is spent, a future
///   whose operations were refused because other futures had spent the budget would be
///   late, although its output may be ready. And because being late costs no budget, code
///   that tries again in a loop would never yield.
///
/// So the clock is polled without a budget only if the future spent the budget itself.
/// Even then an operation of the future may have been refused that would have been ready.
/// So if one was refused, and the future had less than the budget of a whole poll, it is
/// polled once more with a whole budget before it is late. No budget is left after that
/// poll.
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
    /// The budget before the future was polled.
    before: budget::BudgetSnapshot,
    /// Whether the future got a whole budget for one more poll, which must not be left
    /// for other code.
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
    pub fn before_poll() -> Self {
        Self {
            before: budget::BudgetSnapshot::now(),
            has_extra: false,
        }
    }

    /// Returns the clock for a limit of `duration`.
    ///
    /// The clock is a sleep that never completes if `duration` is out of the clock's range.
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

    /// Starts again, like a new `Limit`, because the future made progress.
    ///
    /// For instance, a stream returned an item.
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

    /// Polls the clock without a budget, after the future has spent the budget.
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

    /// Takes back what is left of the budget for one more poll.
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
