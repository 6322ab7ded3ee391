//! The slots of the wheel: which of them hold timers, and where they begin.
//!
//! **Invariant:** a level has its lists from the first timer on that goes there or
//! higher. They are not made sooner, as all of them take 23 KB, while many loops
//! set no timer and most others none beyond minutes, which are four levels of nine.
//! A slot without a list has never held a timer.

/// Nanoseconds to a tick, as a power of two.
pub(crate) const TICK: u32 = 14;
/// Slots to a level, as a power of two.
const BITS: u32 = 6;
pub(crate) const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 9;

/// The place of a timer that was taken out.
const HOLE: u32 = u32::MAX;

/// A slot keeps the memory of so many timers when it is emptied.
const KEEP: usize = 1024;

/// The timers of a slot, by their keys, in the order in which they came.
///
/// They are in one piece, and not linked, so that going through very many does
/// not wait for the memory of one to learn where the next is. One that is taken
/// out leaves a hole, as those behind it must know their places.
#[derive(Debug)]
pub(crate) struct List {
    keys: Vec<u32>,
    holes: u32,
    /// When the first of their slacks has run out, or before.
    latest: u64,
}

const EMPTY: List = List {
    keys: Vec::new(),
    holes: 0,
    latest: u64::MAX,
};

impl List {
    /// The keys.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().copied().filter(|&key| key != HOLE)
    }

    /// Keeps those that `keep` says, which it is told with their new places.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32, u32) -> bool) {
        let mut place = 0;
        self.keys.retain(|&key| {
            let keeps = key != HOLE && keep(key, place);
            place += u32::from(keeps);
            keeps
        });
        self.holes = 0;
    }
}

/// A slot, and the tick at which it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) slot: usize,
    pub(crate) start: u64,
}

impl Span {
    /// In nanoseconds.
    pub(crate) fn start_nanos(self) -> u64 {
        self.start << TICK
    }

    /// When the slot is over, in nanoseconds.
    pub(crate) fn end_nanos(self) -> u64 {
        let ticks = 1 << shift(self.slot / SLOTS);
        (self.start + ticks).saturating_mul(1 << TICK)
    }
}

/// All slots, those of level 0 first.
#[derive(Debug)]
pub(crate) struct Slots {
    /// A bit for each slot, a state for each level.
    occupied: [u64; LEVELS],
    /// The lists of the lowest levels, up to the highest level that has had a timer.
    lists: Vec<List>,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots {
            occupied: [0; LEVELS],
            lists: Vec::new(),
        }
    }

    /// The slots that hold timers, in the order in which they come up after the
    /// tick `now`.
    #[inline]
    pub(crate) fn occupied(&self, now: u64) -> Occupied<'_> {
        Occupied {
            slots: self,
            now,
            level: 0,
            left: self.occupied[0],
        }
    }

    pub(crate) fn latest(&self, slot: usize) -> u64 {
        self.lists[slot].latest
    }

    /// The timers of a slot.
    #[inline]
    pub(crate) fn list(&self, slot: usize) -> &List {
        &self.lists[slot]
    }

    /// Puts a timer last in the list of a slot; returns its place there.
    #[inline]
    pub(crate) fn append(&mut self, slot: usize, key: u32, latest: u64) -> u32 {
        let Some(list) = self.lists.get_mut(slot) else {
            return self.append_first(slot, key, latest);
        };
        let place = list.keys.len();
        if place == 0 {
            self.occupied[slot / SLOTS] |= 1 << (slot % SLOTS);
        }
        list.latest = list.latest.min(latest);
        list.keys.push(key);
        // At most four times as many as there are timers, and some.
        u32::try_from(place).unwrap_or(HOLE)
    }

    /// Likewise, for the first timer of a level. On its own, and not followed by
    /// what `append` does, so that the way of all others keeps its registers.
    #[cold]
    #[inline(never)]
    fn append_first(&mut self, slot: usize, key: u32, latest: u64) -> u32 {
        while self.lists.len() <= slot {
            let mut level = Vec::from([const { EMPTY }; SLOTS]);
            self.lists.append(&mut level);
        }
        self.append(slot, key, latest)
    }

    /// Takes a timer out of the list of a slot; true if that has so many holes
    /// now that it should be put together.
    #[expect(
        clippy::inline_always,
        reason = "as a call it costs 20 of the 470 instructions of a timer that is set and cancelled"
    )]
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: usize, place: u32) -> bool {
        let list = &mut self.lists[slot];
        let place = place as usize;
        if place + 1 == list.keys.len() {
            list.keys.pop();
        } else if let Some(key) = list.keys.get_mut(place) {
            *key = HOLE;
            list.holes += 1;
        }
        let holes = list.holes as usize;
        if holes == list.keys.len() {
            list.keys.clear();
            list.keys.shrink_to(KEEP);
            list.holes = 0;
            list.latest = u64::MAX;
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
            return false;
        }
        holes > 16 && holes > list.keys.len() / 4 * 3
    }

    /// Keeps the timers of a slot that `keep` says, which it is told with their
    /// new places.
    #[inline]
    pub(crate) fn retain(&mut self, slot: usize, keep: impl FnMut(u32, u32) -> bool) {
        let list = &mut self.lists[slot];
        list.retain(keep);
        if list.keys.is_empty() {
            list.keys.shrink_to(KEEP);
            list.latest = u64::MAX;
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    pub(crate) fn set_latest(&mut self, slot: usize, latest: u64) {
        self.lists[slot].latest = latest;
    }

    /// Takes the list of a slot out, which is empty then.
    #[inline]
    pub(crate) fn take(&mut self, slot: usize) -> List {
        self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        std::mem::replace(&mut self.lists[slot], EMPTY)
    }

    /// Puts back a list that was taken out, for its memory: nothing is left in
    /// it, and the slot has got no timers meanwhile.
    pub(crate) fn put_back(&mut self, slot: usize, mut list: List) {
        debug_assert!(list.keys.is_empty());
        list.keys.shrink_to(KEEP);
        list.latest = u64::MAX;
        self.lists[slot] = list;
    }

    /// How many levels have lists.
    #[cfg(all(test, not(miri)))]
    pub(crate) fn levels(&self) -> usize {
        self.lists.len() / SLOTS
    }
}

/// The iterator of [`Slots::occupied`].
pub(crate) struct Occupied<'a> {
    slots: &'a Slots,
    now: u64,
    level: usize,
    left: u64,
}

impl Iterator for Occupied<'_> {
    type Item = Span;

    #[inline]
    fn next(&mut self) -> Option<Span> {
        // A lower level's slots all come before those of the levels above: a
        // timer is there because it agrees with the time in all higher digits.
        // The levels do not wrap around: a slot behind the time is one that has
        // come up and not been seen to yet.
        while self.left == 0 {
            self.level += 1;
            self.left = *self.slots.occupied.get(self.level)?;
        }
        let digit = self.left.trailing_zeros();
        self.left &= self.left - 1;
        let shift = shift(self.level);
        let above = (self.now >> shift) & !(SLOTS as u64 - 1);
        Some(Span {
            slot: self.level * SLOTS + digit as usize,
            start: (above | u64::from(digit)) << shift,
        })
    }
}

/// The slot of `tick`, seen from `now`: at the level at which they first
/// differ, from above.
#[inline]
pub(crate) fn slot(now: u64, tick: u64) -> usize {
    let differing = (now ^ tick) | (SLOTS as u64 - 1);
    let level = (u64::BITS - 1 - differing.leading_zeros()) / BITS;
    let digit = (tick >> (level * BITS)) & (SLOTS as u64 - 1);
    // Nine levels of 64.
    level as usize * SLOTS + usize::try_from(digit).unwrap_or(0)
}

fn shift(level: usize) -> u32 {
    // Nine levels.
    u32::try_from(level).unwrap_or(0) * BITS
}
