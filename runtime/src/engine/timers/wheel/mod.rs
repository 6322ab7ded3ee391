//! The timer wheel: deadlines in slots that are wider the farther away they are.
//!
//! Level 0 has a slot for each of the next 64 ticks of 16.4 µs, level 1 has one for each
//! 64 ticks, and so on; nine levels hold any `u64` of nanoseconds. Times are numbers with
//! digits of six bits: the highest digit in which a deadline differs from the wheel's
//! time is the timer's level, and the deadline's digit there is its slot. When the wheel's
//! time reaches a slot of a higher level, the slot's timers are sorted into the levels
//! below. This is scheme 7 of Varghese and Lauck, "Hashed and Hierarchical Timing Wheels"
//! (1987). But the timers keep their deadlines and fire to the nanosecond: a slot only
//! narrows the search.
//!
//! A slot is a list of the keys of its timers, and each timer knows its index in the
//! list. So setting and cancelling a timer are O(1), and allocate nothing once the lists
//! have grown. Before the first timer there are no lists.
//!
//! # Sharing a wake
//!
//! Waking a loop takes as long as firing some twenty timers. So each timer has a slack: a
//! 16th of the time that it was set for, but no more than a millisecond. A parked loop is
//! woken once for all timers that are due before the first slack ends, at the last of
//! their deadlines, and fires them together. A timer with no other deadline within its
//! slack is not delayed; and no timer is delayed while the loop is awake.
//!
//! # Invariants
//!
//! 1. A timer never fires before its deadline.
//! 2. Timers fire in the order of their deadlines, and timers with equal deadlines in the
//!    order in which they were set: lists are appended to, and a slot is sorted into
//!    lower levels before a later timer can be put directly into the slots that its
//!    timers go to.
//! 3. The bit of a slot is set exactly while its list is not empty.
//! 4. A timer wakes either a task of coreloop, kept in a task slot, or a foreign waker.
//!    Of the free timers only the first may still have its task: the next timer often
//!    wakes the same task, and then needs no new reference. No free timer has a waker.
//!    Registering, waking and forgetting a task runs no user code. The wheel clones,
//!    wakes and drops no waker itself: its caller does, while the wheel is not borrowed.
//! 5. The `slack_end` of a slot is not later than the end of any slack of its timers,
//!    which is the timer's deadline plus its slack. It may be earlier, after the timer
//!    with the earliest end was cancelled.

pub(crate) mod coalescing;
mod slots;
pub(crate) mod storage;
// Not under Miri, which would need a minute for code that is safe anyway.
#[cfg(test)]
#[cfg(not(miri))]
mod tests;

use std::mem;
use std::task::Waker;

use crate::engine::panics::UserValue;
use crate::engine::task::task_slot::TaskSlot;
use crate::engine::timers::wheel::coalescing::slack;
use crate::engine::timers::wheel::slots::{SLOTS, Slots, TICK_SHIFT};
use crate::engine::timers::wheel::storage::{FIRED, Timer, TimerStorage};

/// The key of a timer, valid until the timer is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

/// The state of a timer, for a task that polls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimerPoll {
    /// The timer has fired.
    Fired,
    /// The timer has not fired, and will wake the task that polls.
    Waiting,
    /// The timer has not fired, and would wake another task.
    OtherWaiter,
}

/// The task or the foreign waker that a timer wakes.
#[derive(Debug)]
pub(super) enum TimerWaiter {
    Task(TaskSlot),
    Foreign(UserValue<Waker>),
}

/// The timers of a loop, ordered by deadline.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The wheel's time: all timers that were due before this tick have fired.
    current_tick: u64,
    slots: Slots,
    timers: TimerStorage,
    /// The number of timers in the slots.
    waiting: usize,
    /// The deadlines and keys of the timers that `fire` takes out of a slot. Empty between
    /// calls, kept for its capacity.
    firing: Vec<(u64, u32)>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            current_tick: 0,
            slots: Slots::new(),
            timers: TimerStorage::new(),
            waiting: 0,
            firing: Vec::new(),
        }
    }

    /// Returns whether no timer is in a slot.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Sets a timer for `deadline` that wakes the task of `waker`. Returns `None` if
    /// `waker` is a foreign waker.
    ///
    /// Both times are in nanoseconds, and `now` must not be ahead of the clock. A
    /// deadline that has passed fires in the next round.
    #[inline]
    pub(super) fn insert(&mut self, deadline: u64, now: u64, waker: &Waker) -> Option<Key> {
        let key = self.timers.allocate(waker)?;
        self.start(key, deadline, now);
        Some(Key(key))
    }

    /// Like [`insert`](Wheel::insert), for any waker.
    pub(super) fn insert_foreign(
        &mut self,
        deadline: u64,
        now: u64,
        waker: UserValue<Waker>,
    ) -> Key {
        let key = self.timers.allocate_foreign(waker);
        self.start(key, deadline, now);
        Key(key)
    }

    /// Puts a new timer in a slot.
    #[inline]
    fn start(&mut self, key: u32, deadline: u64, now: u64) {
        if self.waiting == 0 {
            // The wheel's time stands still while there are no timers. Without this the
            // first timer might go to a higher level than needed, and be sorted down
            // later.
            self.current_tick = self.current_tick.max(now >> TICK_SHIFT);
        }
        self.waiting += 1;
        self.link(key, deadline, slack(deadline, now));
    }

    /// Moves a timer to another deadline. It wakes the same task as before. Returns false
    /// if the timer has fired.
    pub(super) fn reset(&mut self, key: Key, deadline: u64, now: u64) -> bool {
        let timer = self.timers.get(key.0);
        let (slot, index) = (timer.slot, timer.slot_index());
        let is_waiting = slot != FIRED;
        if is_waiting {
            self.unlink(slot, index);
            self.link(key.0, deadline, slack(deadline, now));
        }
        is_waiting
    }

    /// Returns the state of the timer, for the task that `waker` wakes.
    #[inline]
    pub(super) fn poll(&self, key: Key, waker: &Waker) -> TimerPoll {
        let timer = self.timers.get(key.0);
        if timer.slot == FIRED {
            return TimerPoll::Fired;
        }
        let is_same = match &timer.foreign {
            None => timer.task.is(waker),
            Some(foreign) => foreign.will_wake(waker),
        };
        if is_same {
            TimerPoll::Waiting
        } else {
            TimerPoll::OtherWaiter
        }
    }

    /// Makes a timer wake `waiter`. Returns the foreign waker that the timer had, for the
    /// caller to drop.
    pub(super) fn set_waiter(
        &mut self,
        key: Key,
        waiter: TimerWaiter,
    ) -> Option<Box<UserValue<Waker>>> {
        let timer = self.timers.get_mut(key.0);
        let (task, foreign) = match waiter {
            TimerWaiter::Task(task) => (task, None),
            TimerWaiter::Foreign(waker) => (TaskSlot::default(), Some(Box::new(waker))),
        };
        timer.task = task;
        mem::replace(&mut timer.foreign, foreign)
    }

    /// Removes a timer, whether it has fired or not. Returns its foreign waker, for the
    /// caller to drop.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Box<UserValue<Waker>>> {
        let (slot, index, foreign) = self.timers.release(key.0);
        if slot != FIRED {
            self.waiting -= 1;
            self.unlink(slot, index);
        }
        foreign
    }

    /// Advances the wheel's time to `now`, in nanoseconds, and fires the timers that are
    /// due, in order. Calls `wake` with their tasks, up to the first timer with a foreign
    /// waker. The waiters of that timer and of the ones after it go to `due`, for the
    /// caller to wake.
    pub(super) fn advance(
        &mut self,
        now: u64,
        due: &mut Vec<TimerWaiter>,
        mut wake: impl FnMut(&TaskSlot),
    ) {
        let tick = now >> TICK_SHIFT;
        while let Some(span) = self.slots.occupied(self.current_tick).next() {
            if span.start > tick {
                break;
            }
            self.current_tick = self.current_tick.max(span.start);
            if span.slot >= SLOTS {
                self.sort_down(span.slot);
                continue;
            }
            self.fire(span.slot, now, due, &mut wake);
            if span.start == tick {
                // The timers that are left in this slot are due later in the current tick.
                break;
            }
        }
        self.current_tick = self.current_tick.max(tick);
    }

    /// Fires the timers of a slot of level 0 that are due: see [`advance`](Wheel::advance).
    fn fire(
        &mut self,
        slot: usize,
        now: u64,
        due: &mut Vec<TimerWaiter>,
        wake: &mut impl FnMut(&TaskSlot),
    ) {
        let mut firing = mem::take(&mut self.firing);
        let mut slack_end = u64::MAX;
        self.slots.retain(slot, |key, index| {
            let timer = self.timers.get_mut(key);
            timer.set_slot_index(index);
            if timer.deadline > now {
                slack_end = slack_end.min(timer.slack_end());
                return true;
            }
            timer.slot = FIRED;
            firing.push((timer.deadline, key));
            false
        });
        self.slots.set_slack_end(slot, slack_end);
        // The sort is stable: equal deadlines keep the order in which they were set.
        firing.sort_by_key(|&(deadline, _)| deadline);
        self.waiting -= firing.len();
        for (_, key) in firing.drain(..) {
            let timer = self.timers.get_mut(key);
            match timer.foreign.take() {
                None if due.is_empty() => wake(&timer.task),
                None => due.push(TimerWaiter::Task(mem::take(&mut timer.task))),
                Some(waker) => due.push(TimerWaiter::Foreign(*waker)),
            }
        }
        self.firing = firing;
    }

    /// Sorts the timers of a slot into lower levels.
    fn sort_down(&mut self, slot: usize) {
        let mut list = self.slots.take(slot);
        list.retain(|key, _| {
            let timer = self.timers.get_mut(key);
            append(&mut self.slots, self.current_tick, key, timer);
            false
        });
        self.slots.put_back(slot, list);
    }

    /// Puts a timer that is in no slot at the end of the list of its slot.
    #[inline]
    fn link(&mut self, key: u32, deadline: u64, slack: u16) {
        let timer = self.timers.get_mut(key);
        timer.deadline = deadline;
        timer.slack = slack;
        append(&mut self.slots, self.current_tick, key, timer);
    }

    /// Removes a timer from the list of its slot.
    #[inline]
    fn unlink(&mut self, slot: u16, index: u32) {
        let slot = usize::from(slot);
        if self.slots.remove(slot, index) {
            self.close_holes(slot);
        }
    }

    /// Removes the holes from the list of a slot.
    #[cold]
    fn close_holes(&mut self, slot: usize) {
        self.slots.retain(slot, |key, index| {
            self.timers.get_mut(key).set_slot_index(index);
            true
        });
    }

    /// Returns the timers of a slot.
    fn list(&self, slot: usize) -> impl Iterator<Item = &Timer> {
        self.slots.list(slot).iter().map(|key| self.timers.get(key))
    }
}

/// Puts a timer at the end of the list of its slot, which depends on the current tick
/// `now`.
#[inline]
fn append(slots: &mut Slots, now: u64, key: u32, timer: &mut Timer) {
    let tick = (timer.deadline >> TICK_SHIFT).max(now);
    let slot = slots::slot(now, tick);
    // It fits: there are 576 slots.
    timer.slot = u16::try_from(slot).unwrap_or(FIRED);
    let index = slots.append(slot, key, timer.slack_end());
    timer.set_slot_index(index);
}
