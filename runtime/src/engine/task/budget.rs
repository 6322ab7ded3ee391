//! The budget: how many operations a task may complete in one poll.
//!
//! [`task::coop`](crate::task::coop) describes it for users.

use std::cell::Cell;
use std::task::{Context, Poll, ready};

use crate::engine::task::running;

const UNITS: i64 = 128;

/// A budget that is never used up.
const UNLIMITED: i64 = i64::MAX;

/// Far below any value that spending can reach, and far above `i64::MIN`.
const FROZEN: i64 = i64::MIN / 2;

/// The number of units that the current task has left; none if it is negative.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<i64>,
    /// How many operations were refused.
    forced_yields: Cell<u64>,
}

impl Budget {
    pub(super) fn unlimited() -> Self {
        Self {
            left: Cell::new(UNLIMITED),
            forced_yields: Cell::new(0),
        }
    }

    /// Gives the next task its budget.
    #[inline]
    pub(crate) fn refill(&self) {
        self.left.set(UNITS);
    }

    /// Ends the budget of a task, because code that runs outside tasks has none.
    #[inline]
    pub(super) fn set_unlimited(&self) {
        self.left.set(UNLIMITED);
    }

    /// Returns whether the code that runs was cancelled and is frozen.
    #[inline]
    pub(crate) fn is_frozen(&self) -> bool {
        is_frozen(self.left.get())
    }

    /// Freezes the code that runs: every operation of it returns `Pending` from now on.
    pub(crate) fn freeze(&self) {
        self.left.set(FROZEN);
    }

    /// Enters code that is frozen or not, whatever the code around it is. Returns the
    /// budget of the code around, to be passed to [`leave`](Budget::leave).
    pub(crate) fn enter(&self, frozen: bool) -> i64 {
        let before = self.left.get();
        if frozen {
            self.freeze();
        } else if is_frozen(before) {
            self.refill();
        }
        before
    }

    /// Returns to the code around, which is frozen if `frozen`. Units that were spent inside
    /// stay spent.
    pub(crate) fn leave(&self, before: i64, frozen: bool) {
        if frozen {
            self.freeze();
        } else if self.is_frozen() {
            self.left
                .set(if is_frozen(before) { UNITS } else { before });
        }
    }

    /// Like [`poll_left`](Budget::poll_left), but ready for frozen code. For futures
    /// that only forward polls.
    #[inline]
    pub(crate) fn poll_spent(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_frozen() {
            return Poll::Ready(());
        }
        self.poll_left(cx)
    }

    /// Returns `Pending`, and wakes the task, if no unit is left. Spends nothing.
    ///
    /// Frozen code is not woken here: the code that cancelled it is responsible for that.
    #[inline]
    pub(crate) fn poll_left(&self, cx: &Context<'_>) -> Poll<()> {
        if self.left.get() <= 0 {
            yield_to_others(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Spends one unit.
    #[inline]
    pub(crate) fn spend(&self) {
        // Negative if one operation spends inside another. Wrapping around would take
        // 2^63 units.
        self.left.set(self.left.get().wrapping_sub(1));
    }

    /// Returns how many operations were refused.
    pub(crate) fn forced_yields(&self) -> u64 {
        self.forced_yields.get()
    }
}

fn is_frozen(units: i64) -> bool {
    units < FROZEN / 2
}

#[cold]
fn yield_to_others(cx: &Context<'_>) {
    let frozen = running::with_running(|tasks| {
        let budget = &tasks.budget;
        let frozen = budget.is_frozen();
        let yields = &budget.forced_yields;
        yields.set(yields.get() + u64::from(!frozen));
        frozen
    });
    if frozen != Some(true) {
        wake_after_poll(cx);
    }
}

/// Wakes the current task after the poll, or the future in it to which the waker of
/// `cx` belongs: see [`Scheduler::wake_after_poll`].
///
/// [`Scheduler::wake_after_poll`]: crate::engine::task::scheduler::Scheduler::wake_after_poll
#[inline]
pub(crate) fn wake_after_poll(cx: &Context<'_>) {
    let waker = cx.waker();
    let running = running::with_running(|tasks| tasks.wake_after_poll(waker));
    if running.is_none() {
        waker.wake_by_ref();
    }
}

/// Gives the current task the budget of a whole poll.
pub(crate) fn refill() {
    exchange(UNITS);
}

/// Takes the rest of the current task's budget.
pub(crate) fn exhaust() {
    exchange(0);
}

/// The budget at one moment, to be compared with its state later in the same poll.
#[derive(Debug)]
pub(crate) struct BudgetSnapshot {
    left: i64,
    forced_yields: u64,
}

impl BudgetSnapshot {
    /// Returns the current state of the budget.
    #[inline]
    pub(crate) fn now() -> Self {
        let (left, forced_yields) = read();
        Self {
            left,
            forced_yields,
        }
    }

    /// Returns whether any budget was left.
    #[inline]
    pub(crate) fn has_budget(&self) -> bool {
        self.left > 0
    }

    /// Returns whether nothing had been spent.
    pub(crate) fn is_whole(&self) -> bool {
        self.left >= UNITS
    }

    /// Returns whether an operation has been refused since.
    pub(crate) fn was_refused(&self) -> bool {
        read().1 != self.forced_yields
    }
}

/// Returns the number of units left, and of operations refused.
#[inline]
fn read() -> (i64, u64) {
    running::with_running(|tasks| {
        let budget = &tasks.budget;
        (budget.left.get(), budget.forced_yields.get())
    })
    .unwrap_or((UNLIMITED, 0))
}

/// Returns `Pending` while the current code is frozen.
pub(crate) fn poll_thawed() -> Poll<()> {
    let frozen = running::with_running(|tasks| tasks.budget.is_frozen());
    if frozen == Some(true) {
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Spends one unit of the task's budget, or returns `Pending` if none is left.
///
/// In the latter case it wakes the task.
///
/// A future that may be ready any number of times in a row should call this first, and
/// return if it is pending. It is then polled again when other tasks have run; see
/// [what a refused operation has done](crate::task::coop#what-a-refused-operation-has-done).
///
/// # Examples
///
/// ```
/// use std::task::Poll;
/// # coreloop::block_on(async {
/// let mut spent = 0;
/// std::future::poll_fn(|cx| {
///     while coreloop::task::coop::has_budget_remaining() {
///         assert!(coreloop::task::coop::poll_proceed(cx).is_ready());
///         spent += 1;
///     }
///     Poll::Ready(())
/// })
/// .await;
/// assert_eq!(spent, 128);
/// # })
/// ```
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    running::with_running(|tasks| {
        let budget = &tasks.budget;
        ready!(budget.poll_left(cx));
        budget.spend();
        Poll::Ready(())
    })
    .unwrap_or(Poll::Ready(()))
}

/// Returns whether the running task has any budget left. True outside a runtime.
pub(crate) fn has_left() -> bool {
    running::with_running(|tasks| tasks.budget.left.get() > 0).unwrap_or(true)
}

/// Returns whether the task has spent its budget, so that operations are refused for
/// the rest of this poll. False for frozen code, and outside a runtime.
pub(crate) fn is_spent() -> bool {
    running::with_running(|tasks| {
        let left = tasks.budget.left.get();
        left <= 0 && !is_frozen(left)
    })
    .unwrap_or(false)
}

/// Sets the budget and returns the one before. A frozen budget stays frozen, so that
/// cancelled code makes no progress.
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

/// Calls `poll` with an unlimited budget, so that no operation in it is refused for lack of
/// budget. The budget is restored afterwards, even if `poll` panics. A frozen budget stays
/// frozen.
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
