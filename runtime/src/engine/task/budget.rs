//! The budget: how many operations a task may complete in one poll.
//!
//! [`task::coop`](crate::task::coop) describes it for users.

use std::cell::Cell;
use std::task::{Context, Poll, ready};

use crate::engine::task::running;

const UNITS: i64 = 128;

/// So much that it is never spent.
const UNLIMITED: i64 = i64::MAX;

/// So little that spending neither reaches it from above nor wraps it around.
const FROZEN: i64 = i64::MIN / 2;

/// What is left for the running task; nothing, if that is negative.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<i64>,
    /// How often it was found to be used up.
    forced_yields: Cell<u64>,
}

impl Budget {
    pub(crate) fn unlimited() -> Budget {
        Budget {
            left: Cell::new(UNLIMITED),
            forced_yields: Cell::new(0),
        }
    }

    /// For the next task.
    #[inline]
    pub(crate) fn refill(&self) {
        self.left.set(UNITS);
    }

    /// After a task: what is polled elsewhere has no budget.
    #[inline]
    pub(crate) fn lift(&self) {
        self.left.set(UNLIMITED);
    }

    /// Whether the code that runs was cancelled, and is not to go on.
    #[inline]
    pub(crate) fn is_frozen(&self) -> bool {
        is_frozen(self.left.get())
    }

    /// From now on whatever is polled is pending.
    pub(crate) fn freeze(&self) {
        self.left.set(FROZEN);
    }

    /// For code that need not be as frozen as that around it. What was left
    /// before is to be handed back to [`leave`](Budget::leave).
    pub(crate) fn enter(&self, frozen: bool) -> i64 {
        let before = self.left.get();
        if frozen {
            self.freeze();
        } else if is_frozen(before) {
            self.refill();
        }
        before
    }

    /// Back to the code around: what was spent inside is spent.
    pub(crate) fn leave(&self, before: i64, frozen: bool) {
        if frozen {
            self.freeze();
        } else if self.is_frozen() {
            self.left
                .set(if is_frozen(before) { UNITS } else { before });
        }
    }

    /// As [`poll_left`](Budget::poll_left), but ready for frozen code: for one
    /// that only passes polls on.
    #[inline]
    pub(crate) fn poll_spent(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_frozen() {
            return Poll::Ready(());
        }
        self.poll_left(context)
    }

    /// Pending, with the task woken, if nothing is left. Spends nothing.
    ///
    /// Frozen code is not woken: whoever cancelled it sees to that.
    #[inline]
    pub(crate) fn poll_left(&self, context: &Context<'_>) -> Poll<()> {
        if self.left.get() <= 0 {
            yield_to_others(context);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Spends one unit.
    #[inline]
    pub(crate) fn spend(&self) {
        self.spend_units(1);
    }

    #[inline]
    fn spend_units(&self, units: i64) {
        // Below zero where one operation spends inside another. It would take
        // 2^63 to wrap around.
        self.left.set(self.left.get().wrapping_sub(units));
    }

    /// How often an operation found nothing left.
    pub(crate) fn forced_yields(&self) -> u64 {
        self.forced_yields.get()
    }
}

fn is_frozen(units: i64) -> bool {
    units < FROZEN / 2
}

#[cold]
fn yield_to_others(context: &Context<'_>) {
    let frozen = running::with_running(|tasks| {
        let budget = &tasks.budget;
        let frozen = budget.is_frozen();
        let yields = &budget.forced_yields;
        yields.set(yields.get() + u64::from(!frozen));
        frozen
    });
    if frozen != Some(true) {
        wake_after_poll(context);
    }
}

/// Wakes the task that polls, or the future of it whose waker `context` has, after the
/// poll: see [`TaskSet::wake_after_poll`].
///
/// [`TaskSet::wake_after_poll`]: crate::task::TaskSet::wake_after_poll
#[inline]
pub(crate) fn wake_after_poll(context: &Context<'_>) {
    let waker = context.waker();
    let running = running::with_running(|tasks| tasks.wake_after_poll(waker));
    if running.is_none() {
        waker.wake_by_ref();
    }
}

/// Gives the running task the budget of a whole poll.
pub(crate) fn refill() {
    exchange(UNITS);
}

/// Takes what is left of the budget of the running task.
pub(crate) fn exhaust() {
    exchange(0);
}

/// The budget at some moment, to be compared with what it is later in the same poll.
#[derive(Debug)]
pub(crate) struct Standing {
    left: i64,
    forced_yields: u64,
}

impl Standing {
    /// The budget as it is now.
    #[inline]
    pub(crate) fn now() -> Standing {
        let (left, forced_yields) = read();
        Standing {
            left,
            forced_yields,
        }
    }

    /// Whether there was any.
    #[inline]
    pub(crate) fn has_budget(&self) -> bool {
        self.left > 0
    }

    /// Whether nothing had been spent yet.
    pub(crate) fn is_whole(&self) -> bool {
        self.left >= UNITS
    }

    /// Whether an operation has found no budget since.
    pub(crate) fn was_refused(&self) -> bool {
        read().1 != self.forced_yields
    }
}

/// What is left, and how often nothing was.
#[inline]
fn read() -> (i64, u64) {
    running::with_running(|tasks| {
        let budget = &tasks.budget;
        (budget.left.get(), budget.forced_yields.get())
    })
    .unwrap_or((UNLIMITED, 0))
}

/// Pending while the code that asks is frozen.
pub(crate) fn poll_thawed() -> Poll<()> {
    let frozen = running::with_running(|tasks| tasks.budget.is_frozen());
    if frozen == Some(true) {
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Spends one unit of the task's budget; pending, with the task woken, if none
/// is left.
///
/// For the author of a future that may be ready without end: call it first, and
/// return if it is pending. The future then waits for nothing but its next turn; see
/// [what a refused operation has done](crate::task::coop#what-a-refused-operation-has-done).
///
/// # Examples
///
/// ```
/// use std::task::Poll;
/// # coreloop::block_on(async {
/// let mut spent = 0;
/// std::future::poll_fn(|context| {
///     while coreloop::task::coop::has_budget_remaining() {
///         assert!(coreloop::task::coop::poll_proceed(context).is_ready());
///         spent += 1;
///     }
///     Poll::Ready(())
/// })
/// .await;
/// assert_eq!(spent, 128);
/// # })
/// ```
#[inline]
pub fn poll_proceed(context: &mut Context<'_>) -> Poll<()> {
    poll_spend(context, 1)
}

/// Spends so many units of the task's budget, or what is left of it; pending,
/// with the task woken, if nothing is.
#[inline]
pub(crate) fn poll_spend(context: &mut Context<'_>, units: i64) -> Poll<()> {
    running::with_running(|tasks| {
        let budget = &tasks.budget;
        ready!(budget.poll_left(context));
        budget.spend_units(units);
        Poll::Ready(())
    })
    .unwrap_or(Poll::Ready(()))
}

/// Whether the running task has any budget left. True outside a runtime.
pub(crate) fn has_left() -> bool {
    running::with_running(|tasks| tasks.budget.left.get() > 0).unwrap_or(true)
}

/// Whether the task has spent its budget, so that what it polls next in this poll is
/// refused. False for frozen code, and outside a runtime.
pub(crate) fn is_spent() -> bool {
    running::with_running(|tasks| {
        let left = tasks.budget.left.get();
        left <= 0 && !is_frozen(left)
    })
    .unwrap_or(false)
}

/// What is frozen stays so: nobody gets around that.
fn exchange(units: i64) -> i64 {
    let exchanged = running::with_running(|tasks| {
        let left = &tasks.budget.left;
        let before = left.get();
        if !is_frozen(before) {
            left.set(units);
        }
        before
    });
    exchanged.unwrap_or(UNLIMITED)
}

/// Calls `poll` without a budget, so that nothing in it is refused. What was left before is
/// left afterwards, even if `poll` panics.
#[inline]
pub(crate) fn unconstrained<R>(poll: impl FnOnce() -> R) -> R {
    /// Restores the budget.
    struct Restore {
        units: i64,
    }

    impl Drop for Restore {
        fn drop(&mut self) {
            exchange(self.units);
        }
    }

    let _restore = Restore {
        units: exchange(UNLIMITED),
    };
    poll()
}
