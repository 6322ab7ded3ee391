//! The timer wheel: deadlines in slots that widen with their distance.
//!
//! Level 0 has a slot for each of the next 64 ticks of 16.4 µs, level 1 one for
//! each 64 ticks, and so on; nine levels hold any `u64` of nanoseconds. A timer
//! goes where its deadline first differs from the wheel's time; when that comes
//! to the slot of a higher level, its timers are sorted into the levels below.
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987),
//! scheme 7. The timers keep their deadlines, so that they fire to the
//! nanosecond: a slot says only where to look.
//!
//! A slot is a list of the keys of its timers, and each timer knows its place in
//! it; so setting and cancelling are O(1), and nothing is allocated once the
//! lists have grown. Before the first timer there are none.
//!
//! # Sharing a wake
//!
//! Waking a loop takes the time of some twenty timers. So each timer has a
//! slack, a 16th of the time that it was set for and a millisecond at most. A
//! loop that sleeps is woken when the first slack has run out, and not for each
//! timer that is due before that: it fires them together. A timer that is alone
//! within its slack is not put off; nor is any while the loop is awake.
//!
//! # Invariants
//!
//! 1. A timer never fires before its deadline.
//! 2. Timers fire in the order of their deadlines, and those with equal ones in
//!    the order in which they were set: lists are appended to, and a slot is
//!    sorted down before a later timer can go to where its timers go.
//! 3. The bit of a slot is set exactly while its list is not empty.
//! 4. Whom a timer wakes is a task of ours, or else a waker. Of the places that
//!    are free only the first still has its task, as often the next timer is to
//!    wake the same one, and then takes no reference anew; none has a waker.
//!    Noting, waking and forgetting a task runs nobody's code, while all of that
//!    is done to wakers outside, by the caller.
//! 5. The `latest` of a slot is not later than a deadline and slack in its list.
//!    It may be earlier, if that timer was cancelled.

pub(crate) mod coalescing;
mod slots;
pub(crate) mod storage;
// Not under Miri, which would take a minute for what is safe code.
#[cfg(test)]
#[cfg(not(miri))]
mod tests;

use std::mem;
use std::task::Waker;

use crate::engine::panics::Foreign;
use crate::engine::task::task_slot::TaskSlot;
use crate::engine::timers::wheel::coalescing::slack;
use crate::engine::timers::wheel::slots::{SLOTS, Slots, TICK};
use crate::engine::timers::wheel::storage::{FIRED, Timer, TimerStorage};

/// Names a timer until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

/// How it stands with a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerPoll {
    /// Its time has come.
    Fired,
    /// It waits, and will wake the right one.
    Waiting,
    /// It waits, and will wake somebody else.
    Foreign,
}

/// Whom a timer was to wake.
#[derive(Debug)]
pub(crate) enum Due {
    Task(TaskSlot),
    Other(Foreign<Waker>),
}

/// Timers by deadline.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Everything before this tick has fired.
    ticks: u64,
    slots: Slots,
    timers: TimerStorage,
    /// Timers in the slots.
    waiting: usize,
    /// The timers of a slot that fire. Kept for its memory.
    firing: Vec<(u64, u32)>,
}

impl Wheel {
    pub(crate) fn new() -> Wheel {
        Wheel {
            ticks: 0,
            slots: Slots::new(),
            timers: TimerStorage::new(),
            waiting: 0,
            firing: Vec::new(),
        }
    }

    /// Whether no timer waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Sets a timer for `deadline`, in nanoseconds like `now`, which must not be
    /// ahead of the clock. One that has passed fires at the next turn. Nothing
    /// if `waker` is not one of ours.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, now: u64, waker: &Waker) -> Option<Key> {
        let key = self.timers.place_for(waker)?;
        self.start(key, deadline, now);
        Some(Key(key))
    }

    /// As [`insert`](Wheel::insert), for any waker.
    pub(crate) fn insert_other(&mut self, deadline: u64, now: u64, waker: Foreign<Waker>) -> Key {
        let key = self.timers.place_for_other(waker);
        self.start(key, deadline, now);
        Key(key)
    }

    #[inline]
    fn start(&mut self, key: u32, deadline: u64, now: u64) {
        if self.waiting == 0 {
            // So that the first timer is not sorted down needlessly.
            self.ticks = self.ticks.max(now >> TICK);
        }
        self.waiting += 1;
        self.link(key, deadline, slack(deadline, now));
    }

    /// Sets a timer anew, for whom it was; false if it has fired.
    pub(crate) fn reset(&mut self, key: Key, deadline: u64, now: u64) -> bool {
        let Timer { slot, place, .. } = *self.timers.get(key.0);
        let waits = slot != FIRED;
        if waits {
            self.unlink(slot, place);
            self.link(key.0, deadline, slack(deadline, now));
        }
        waits
    }

    /// How it stands with the timer, seen by whom `waker` wakes.
    #[inline]
    pub(crate) fn look(&self, key: Key, waker: &Waker) -> TimerPoll {
        let timer = self.timers.get(key.0);
        if timer.slot == FIRED {
            return TimerPoll::Fired;
        }
        let is_same = match &timer.other {
            None => timer.task.is(waker),
            Some(other) => other.will_wake(waker),
        };
        if is_same {
            TimerPoll::Waiting
        } else {
            TimerPoll::Foreign
        }
    }

    /// Has a timer wake somebody else. The waker it had is for the caller to
    /// drop.
    pub(crate) fn set_waiter(&mut self, key: Key, waiter: Due) -> Option<Box<Foreign<Waker>>> {
        let timer = self.timers.get_mut(key.0);
        let (task, other) = match waiter {
            Due::Task(task) => (task, None),
            Due::Other(waker) => (TaskSlot::default(), Some(Box::new(waker))),
        };
        timer.task = task;
        mem::replace(&mut timer.other, other)
    }

    /// Takes a timer out, whether it has fired or not. Its waker is for the
    /// caller to drop.
    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<Box<Foreign<Waker>>> {
        let (slot, place, other) = self.timers.release(key.0);
        if slot != FIRED {
            self.waiting -= 1;
            self.unlink(slot, place);
        }
        other
    }

    /// Moves on to `now`, in nanoseconds, and wakes the tasks of the timers that
    /// are due by `wake`, in their order. From the first waker on, those that are
    /// left are put in `due`: the caller has to wake them.
    pub(crate) fn advance(
        &mut self,
        now: u64,
        due: &mut Vec<Due>,
        mut wake: impl FnMut(&TaskSlot),
    ) {
        let tick = now >> TICK;
        while let Some(span) = self.slots.occupied(self.ticks).next() {
            if span.start > tick {
                break;
            }
            self.ticks = self.ticks.max(span.start);
            if span.slot >= SLOTS {
                self.sort_down(span.slot);
                continue;
            }
            self.fire(span.slot, now, due, &mut wake);
            if span.start == tick {
                // What is left is due later in this tick.
                break;
            }
        }
        self.ticks = self.ticks.max(tick);
    }

    /// Fires the timers of one tick that are due.
    fn fire(
        &mut self,
        slot: usize,
        now: u64,
        due: &mut Vec<Due>,
        wake: &mut impl FnMut(&TaskSlot),
    ) {
        let mut firing = mem::take(&mut self.firing);
        let mut latest = u64::MAX;
        self.slots.retain(slot, |key, place| {
            let timer = self.timers.get_mut(key);
            timer.place = place;
            if timer.deadline > now {
                latest = latest.min(timer.latest());
                return true;
            }
            timer.slot = FIRED;
            firing.push((timer.deadline, key));
            false
        });
        self.slots.set_latest(slot, latest);
        // Stable: equal deadlines keep the order in which they were set.
        firing.sort_by_key(|&(deadline, _)| deadline);
        self.waiting -= firing.len();
        for (_, key) in firing.drain(..) {
            let timer = self.timers.get_mut(key);
            match timer.other.take() {
                None if due.is_empty() => wake(&timer.task),
                None => due.push(Due::Task(mem::take(&mut timer.task))),
                Some(other) => due.push(Due::Other(*other)),
            }
        }
        self.firing = firing;
    }

    /// Sorts the timers of a slot into the levels below.
    fn sort_down(&mut self, slot: usize) {
        let mut list = self.slots.take(slot);
        list.retain(|key, _| {
            let timer = self.timers.get_mut(key);
            append(&mut self.slots, self.ticks, key, timer);
            false
        });
        self.slots.put_back(slot, list);
    }

    /// Puts a timer that is in no list last in that of its slot.
    #[inline]
    fn link(&mut self, key: u32, deadline: u64, slack: u16) {
        let timer = self.timers.get_mut(key);
        timer.deadline = deadline;
        timer.slack = slack;
        append(&mut self.slots, self.ticks, key, timer);
    }

    /// Takes a timer out of the list of its slot.
    #[inline]
    fn unlink(&mut self, slot: u16, place: u32) {
        let slot = usize::from(slot);
        if self.slots.remove(slot, place) {
            self.put_together(slot);
        }
    }

    /// Closes the holes in the list of a slot.
    #[cold]
    fn put_together(&mut self, slot: usize) {
        self.slots.retain(slot, |key, place| {
            self.timers.get_mut(key).place = place;
            true
        });
    }

    /// The timers of a slot.
    fn list(&self, slot: usize) -> impl Iterator<Item = &Timer> {
        self.slots.list(slot).iter().map(|key| self.timers.get(key))
    }
}

/// Puts a timer last in the list of its slot, seen from the tick `now`.
#[inline]
fn append(slots: &mut Slots, now: u64, key: u32, timer: &mut Timer) {
    let tick = (timer.deadline >> TICK).max(now);
    let slot = slots::slot(now, tick);
    // 576 slots.
    timer.slot = u16::try_from(slot).unwrap_or(FIRED);
    timer.place = slots.append(slot, key, timer.latest());
}
