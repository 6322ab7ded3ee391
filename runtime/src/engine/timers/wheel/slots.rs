//! The slots of the wheel: which of them hold timers, and when they begin.
//!
//! **Invariant:** a level has lists once a timer has been put in that level or in a
//! higher one. They are not created earlier, because all lists take 23 KB, while many
//! loops set no timer, and most others set none beyond minutes, which needs four of the
//! nine levels. A slot without a list has never held a timer.

/// A tick is 2 to the power of this, in nanoseconds.
pub(super) const TICK_SHIFT: u32 = 14;
/// The bits of a digit, which selects a slot of a level: a level has 2 to the power of this
/// many slots.
const DIGIT_BITS: u32 = 6;
pub(super) const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = 9;

/// The key that replaces the key of a timer that was removed from a list.
const HOLE: u32 = u32::MAX;

/// The maximum number of timers for which a slot keeps memory when it is emptied.
const MAX_KEPT: usize = 1024;

/// The keys of a slot's timers, in the order in which they were appended.
///
/// The list is an array and not linked through the timers: following links through very
/// many timers would wait for the memory of each before the next is known. A timer that
/// is removed leaves a hole, so that the timers behind it keep their indices.
#[derive(Debug)]
pub(super) struct List {
    keys: Vec<u32>,
    holes: u32,
    /// The earliest end of the timers' slacks, or an earlier time: see invariant 5 of the
    /// wheel.
    slack_end: u64,
}

const EMPTY: List = List {
    keys: Vec::new(),
    holes: 0,
    slack_end: u64::MAX,
};

impl List {
    /// Returns the keys, without the holes.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().copied().filter(|&key| key != HOLE)
    }

    /// Removes the holes, and the keys for which `keep` returns false. Calls `keep` with
    /// each key and the index that it will have.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u32, u32) -> bool) {
        let mut index = 0;
        self.keys.retain(|&key| {
            let keeps = key != HOLE && keep(key, index);
            index += u32::from(keeps);
            keeps
        });
        self.holes = 0;
    }
}

/// A slot, and the tick at which its time begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) slot: usize,
    pub(super) start: u64,
}

impl Span {
    /// Returns the start of the slot, in nanoseconds.
    pub(super) fn start_nanos(self) -> u64 {
        self.start << TICK_SHIFT
    }

    /// Returns the end of the slot, in nanoseconds.
    pub(super) fn end_nanos(self) -> u64 {
        let ticks = 1 << shift(self.slot / SLOTS);
        (self.start + ticks).saturating_mul(1 << TICK_SHIFT)
    }
}

/// All slots: level 0 first, then level 1, and so on.
#[derive(Debug)]
pub(super) struct Slots {
    /// A word for each level, and a bit for each slot: whether the slot holds timers.
    occupied: [u64; LEVELS],
    /// The lists of the slots, up to the highest level that has had a timer.
    lists: Vec<List>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            occupied: [0; LEVELS],
            lists: Vec::new(),
        }
    }

    /// Returns the slots that hold timers, in the order in which time reaches them, seen
    /// from the tick `now`.
    #[inline]
    pub(super) fn occupied(&self, now: u64) -> Occupied<'_> {
        Occupied {
            slots: self,
            now,
            level: 0,
            left: self.occupied[0],
        }
    }

    /// Returns the earliest end of the slacks of a slot's timers, or an earlier time.
    pub(super) fn slack_end(&self, slot: usize) -> u64 {
        self.lists[slot].slack_end
    }

    /// Returns the keys of a slot's timers.
    #[inline]
    pub(super) fn list(&self, slot: usize) -> &List {
        &self.lists[slot]
    }

    /// Appends a timer to the list of a slot, and returns its index there.
    #[inline]
    pub(super) fn append(&mut self, slot: usize, key: u32, slack_end: u64) -> u32 {
        let Some(list) = self.lists.get_mut(slot) else {
            return self.append_first(slot, key, slack_end);
        };
        let index = list.keys.len();
        if index == 0 {
            self.occupied[slot / SLOTS] |= 1 << (slot % SLOTS);
        }
        list.slack_end = list.slack_end.min(slack_end);
        list.keys.push(key);
        // It fits: a list has at most four times as many entries as timers, and a few more.
        u32::try_from(index).unwrap_or(HOLE)
    }

    /// Like [`append`](Slots::append), for the first timer of a level: creates the lists
    /// first.
    ///
    /// It is a function of its own, and calls `append` instead of returning to it, so
    /// that the common path of `append` has no registers to save.
    #[cold]
    #[inline(never)]
    fn append_first(&mut self, slot: usize, key: u32, slack_end: u64) -> u32 {
        while self.lists.len() <= slot {
            let mut level = Vec::from([const { EMPTY }; SLOTS]);
            self.lists.append(&mut level);
        }
        self.append(slot, key, slack_end)
    }

    /// Removes a timer from the list of a slot. Returns true if more than three quarters of
    /// the list are holes now, and the caller should remove them.
    #[expect(
        clippy::inline_always,
        reason = "as a call it costs 20 of the 470 instructions of a timer that is set and cancelled"
    )]
    #[inline(always)]
    pub(super) fn remove(&mut self, slot: usize, index: u32) -> bool {
        let list = &mut self.lists[slot];
        let index = index as usize;
        if index + 1 == list.keys.len() {
            list.keys.pop();
        } else if let Some(key) = list.keys.get_mut(index) {
            *key = HOLE;
            list.holes += 1;
        }
        let holes = list.holes as usize;
        if holes == list.keys.len() {
            list.keys.clear();
            list.keys.shrink_to(MAX_KEPT);
            list.holes = 0;
            list.slack_end = u64::MAX;
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
            return false;
        }
        holes > 16 && holes > list.keys.len() / 4 * 3
    }

    /// Removes from a slot the holes and the timers for which `keep` returns false: see
    /// [`List::retain`].
    #[inline]
    pub(super) fn retain(&mut self, slot: usize, keep: impl FnMut(u32, u32) -> bool) {
        let list = &mut self.lists[slot];
        list.retain(keep);
        if list.keys.is_empty() {
            list.keys.shrink_to(MAX_KEPT);
            list.slack_end = u64::MAX;
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    pub(super) fn set_slack_end(&mut self, slot: usize, slack_end: u64) {
        self.lists[slot].slack_end = slack_end;
    }

    /// Takes the list of a slot, and leaves an empty one.
    #[inline]
    pub(super) fn take(&mut self, slot: usize) -> List {
        self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        std::mem::replace(&mut self.lists[slot], EMPTY)
    }

    /// Puts back a list that was taken and emptied, so that its memory is used again. The
    /// slot must not have got timers meanwhile.
    pub(super) fn put_back(&mut self, slot: usize, mut list: List) {
        debug_assert!(list.keys.is_empty());
        list.keys.shrink_to(MAX_KEPT);
        list.slack_end = u64::MAX;
        self.lists[slot] = list;
    }

    /// Returns the number of levels that have lists.
    #[cfg(all(test, not(miri)))]
    pub(super) fn levels(&self) -> usize {
        self.lists.len() / SLOTS
    }
}

/// The iterator of [`Slots::occupied`].
pub(super) struct Occupied<'a> {
    slots: &'a Slots,
    now: u64,
    level: usize,
    left: u64,
}

impl Iterator for Occupied<'_> {
    type Item = Span;

    #[inline]
    fn next(&mut self) -> Option<Span> {
        // All slots of a level come before the slots of higher levels: a timer is in a
        // lower level because it has the same higher digits as the current time. A level
        // does not wrap around: a slot before the current time is one that time has
        // reached, but that has not been fired or sorted down yet.
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

/// Returns the slot of `tick`, seen from the tick `now`: its level is the highest digit
/// in which the two differ.
#[inline]
pub(super) fn slot(now: u64, tick: u64) -> usize {
    let differing = (now ^ tick) | (SLOTS as u64 - 1);
    let level = (u64::BITS - 1 - differing.leading_zeros()) / DIGIT_BITS;
    let digit = (tick >> (level * DIGIT_BITS)) & (SLOTS as u64 - 1);
    // It fits: a digit is less than 64.
    level as usize * SLOTS + usize::try_from(digit).unwrap_or(0)
}

/// Returns by how many bits a tick is shifted to get its digit at `level`.
fn shift(level: usize) -> u32 {
    // It fits: there are nine levels.
    u32::try_from(level).unwrap_or(0) * DIGIT_BITS
}
