//! The timer wheel: deadlines in slots that widen with their distance.
//!
//! Time is counted in ticks of 1.024 µs. Level 0 has a slot for each of the
//! next 64 ticks, level 1 one for each 64 ticks, and so on; nine levels hold
//! any `u64` of nanoseconds. A timer goes where its deadline first differs from
//! the wheel's time; when that comes to the slot of a higher level, its timers
//! are sorted into the levels below. After Varghese and Lauck, "Hashed and
//! Hierarchical Timing Wheels" (1987), scheme 7.
//!
//! The timers of a slot are a list linked by index through a slab, so that
//! setting and cancelling are O(1) and nothing is allocated once the slab has
//! grown.
//!
//! # Invariants
//!
//! 1. A timer never fires early: its tick is its deadline rounded up.
//! 2. Timers with equal deadlines fire in the order in which they were set:
//!    lists are appended to, and a slot is sorted down before a later timer can
//!    go to where its timers go.
//! 3. The bit of a slot is set exactly while its list is not empty.

#[cfg(test)]
mod tests;

use std::task::Waker;

use slab::Slab;

/// Nanoseconds to a tick, as a power of two.
const TICK: u32 = 10;
/// Slots to a level, as a power of two.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 9;

/// So many timers of a slot are looked at for the earliest, before the start
/// of the slot is taken for it.
const LOOK_AT: usize = 16;

/// No timer.
const NONE: u32 = u32::MAX;

/// Names a timer until it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

/// How it stands with a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Its time has come.
    Fired,
    /// It waits, and will wake the right one.
    Waiting,
    /// It waits, and will wake somebody else.
    Foreign,
}

#[derive(Debug)]
struct Timer {
    /// In nanoseconds.
    deadline: u64,
    waker: Option<Waker>,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the list of a slot.
    Slot { slot: u16, previous: u32, next: u32 },
    /// Not in the wheel any more.
    Fired,
}

#[derive(Debug, Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};

/// Timers by deadline.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Everything up to and with this tick has fired.
    ticks: u64,
    /// A bit for each slot, a word for each level.
    occupied: [u64; LEVELS],
    slots: Box<[List; SLOTS * LEVELS]>,
    timers: Slab<Timer>,
    /// Timers in the slots.
    waiting: usize,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel {
            ticks: 0,
            occupied: [0; LEVELS],
            slots: Box::new([EMPTY; SLOTS * LEVELS]),
            timers: Slab::new(),
            waiting: 0,
        }
    }

    /// Whether no timer waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Sets a timer for `deadline`, in nanoseconds. One that has passed fires
    /// at the next turn.
    pub(super) fn insert(&mut self, deadline: u64, waker: Waker) -> Key {
        let key = self.timers.insert(Timer {
            deadline,
            waker: Some(waker),
            place: Place::Fired,
        });
        let key = u32::try_from(key)
            .ok()
            .filter(|&key| key != NONE)
            .map(Key)
            .unwrap_or_else(|| panic!("more than {NONE} timers at once"));
        self.link(key.0);
        self.waiting += 1;
        key
    }

    /// How it stands with the timer, seen by whom `waker` wakes.
    pub(super) fn look(&self, key: Key, waker: &Waker) -> Look {
        let timer = &self.timers[key.0 as usize];
        match (&timer.place, &timer.waker) {
            (Place::Fired, _) => Look::Fired,
            (Place::Slot { .. }, Some(there)) if there.will_wake(waker) => Look::Waiting,
            (Place::Slot { .. }, _) => Look::Foreign,
        }
    }

    /// Gives a timer another waker. The one it had is for the caller to drop.
    pub(super) fn set_waker(&mut self, key: Key, waker: Waker) -> Option<Waker> {
        self.timers[key.0 as usize].waker.replace(waker)
    }

    /// Takes a timer out, whether it has fired or not. The waker is for the
    /// caller to drop.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        if matches!(self.timers[key.0 as usize].place, Place::Slot { .. }) {
            self.unlink(key.0);
            self.waiting -= 1;
        }
        self.timers.remove(key.0 as usize).waker
    }

    /// When the next timer may be due, in nanoseconds: never late, and early
    /// only if very many are due at about the same time.
    #[inline]
    pub(super) fn next(&self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        self.earliest()
    }

    fn earliest(&self) -> Option<u64> {
        let (level, slot, start) = self.next_slot()?;
        let mut earliest = u64::MAX;
        let mut at = self.slots[level * SLOTS + slot].first;
        for _ in 0..LOOK_AT {
            let Some(timer) = self.timers.get(at as usize) else {
                return Some(earliest);
            };
            earliest = earliest.min(ceil_tick(timer.deadline) << TICK);
            at = match timer.place {
                Place::Slot { next, .. } => next,
                Place::Fired => NONE,
            };
        }
        Some(if at == NONE { earliest } else { start << TICK })
    }

    /// Moves on to `now`, in nanoseconds, and puts the wakers of the timers
    /// that are due in `due`, ordered by deadline.
    pub(super) fn advance(&mut self, now: u64, due: &mut Vec<Waker>) {
        let now = now >> TICK;
        while let Some((level, slot, start)) = self.next_slot() {
            if start > now {
                break;
            }
            self.ticks = self.ticks.max(start);
            if level == 0 {
                self.fire(slot, due);
            } else {
                self.sort_down(level, slot);
            }
        }
        self.ticks = self.ticks.max(now);
    }

    /// The slot that comes up first: its level, place, and first tick.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        // A lower level's slots all come before those of the levels above: a
        // timer is there because it agrees with the time in all higher digits.
        let level = (0..LEVELS).find(|&level| self.occupied[level] != 0)?;
        let shift = shift(level);
        let here = digit(self.ticks, level);
        // The levels do not wrap around: a slot behind the time is one that
        // has come up and not been seen to yet.
        let slot = self.occupied[level].trailing_zeros();
        let above = (self.ticks >> shift) & !(SLOTS as u64 - 1);
        let start = (above | u64::from(slot)) << shift;
        debug_assert!(slot as usize >= here, "a slot was passed over");
        Some((level, slot as usize, start))
    }

    /// Fires the timers of one tick, in the order of their deadlines.
    fn fire(&mut self, slot: usize, due: &mut Vec<Waker>) {
        let List { first, last } = self.slots[slot];
        if first == last {
            self.unlink(first);
            self.waiting -= 1;
            due.extend(self.timers[first as usize].waker.take());
            return;
        }
        let mut fired: Vec<(u64, u32)> = Vec::new();
        while let Some(key) = self.pop(slot) {
            fired.push((self.timers[key as usize].deadline, key));
        }
        // Stable: equal deadlines keep the order in which they were set.
        fired.sort_by_key(|&(deadline, _)| deadline);
        for (_, key) in fired {
            self.waiting -= 1;
            due.extend(self.timers[key as usize].waker.take());
        }
    }

    /// Sorts the timers of a slot into the levels below.
    fn sort_down(&mut self, level: usize, slot: usize) {
        while let Some(key) = self.pop(level * SLOTS + slot) {
            self.link(key);
        }
    }

    /// Takes the first timer of a slot out.
    fn pop(&mut self, slot: usize) -> Option<u32> {
        let first = self.slots[slot].first;
        if first == NONE {
            return None;
        }
        self.unlink(first);
        Some(first)
    }

    fn link(&mut self, key: u32) {
        let tick = ceil_tick(self.timers[key as usize].deadline).max(self.ticks);
        let level = level(self.ticks, tick);
        let within = digit(tick, level);
        self.occupied[level] |= 1 << within;
        let slot = level * SLOTS + within;
        let list = &mut self.slots[slot];
        let previous = std::mem::replace(&mut list.last, key);
        if previous == NONE {
            list.first = key;
        } else if let Place::Slot { next, .. } = &mut self.timers[previous as usize].place {
            *next = key;
        }
        self.timers[key as usize].place = Place::Slot {
            // 576 slots.
            slot: u16::try_from(slot).unwrap_or(u16::MAX),
            previous,
            next: NONE,
        };
    }

    fn unlink(&mut self, key: u32) {
        let place = std::mem::replace(&mut self.timers[key as usize].place, Place::Fired);
        let Place::Slot {
            slot,
            previous,
            next,
        } = place
        else {
            return;
        };
        let slot = usize::from(slot);
        if previous == NONE {
            self.slots[slot].first = next;
        } else if let Place::Slot { next: link, .. } = &mut self.timers[previous as usize].place {
            *link = next;
        }
        if next == NONE {
            self.slots[slot].last = previous;
        } else if let Place::Slot { previous: link, .. } = &mut self.timers[next as usize].place {
            *link = previous;
        }
        if self.slots[slot].first == NONE {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }
}

/// The last tick that fits in the levels.
const LAST_TICK: u64 = u64::MAX >> TICK;

/// The first tick that is not before `nanos`.
fn ceil_tick(nanos: u64) -> u64 {
    nanos.div_ceil(1 << TICK).min(LAST_TICK)
}

fn shift(level: usize) -> u32 {
    // Nine levels.
    u32::try_from(level).unwrap_or(u32::MAX) * BITS
}

/// The place of a tick within a level.
fn digit(tick: u64, level: usize) -> usize {
    // Less than 64.
    usize::try_from((tick >> shift(level)) & (SLOTS as u64 - 1)).unwrap_or(0)
}

/// The level at which a tick first differs from the time, from above.
fn level(now: u64, tick: u64) -> usize {
    let differing = (now ^ tick) | (SLOTS as u64 - 1);
    let highest = u64::BITS - 1 - differing.leading_zeros();
    (highest / BITS) as usize
}
