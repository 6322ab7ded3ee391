//! The values that are kept, by position: the first ever sent has position 0.
//!
//! # Invariants
//!
//! 1. Slots hold the positions up to `end`, without a gap, at most `capacity`.
//! 2. `unseen` counts the receivers that have the position before them. It
//!    never falls from one slot to the next: who has yet to see one has yet to
//!    see all that follow.
//! 3. A slot has a value exactly while somebody has yet to see it.
//! 4. Nothing here clones or drops a value: they are handed to the caller, who
//!    has no borrow. Whoever clones one holds a count of its `Rc`, so it stays
//!    even if the slot is filled anew meanwhile.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::room::room_for_items_of;

pub(super) struct Ring<T> {
    slots: VecDeque<Slot<T>>,
    capacity: usize,
    /// The position of the next value.
    end: u64,
}

struct Slot<T> {
    /// An `Rc` that nobody else holds is filled again, so that a channel that
    /// is in use allocates nothing.
    value: Option<Rc<Option<T>>>,
    unseen: usize,
}

/// What there is at a position.
pub(super) enum Seen<T> {
    /// The value, which the last receiver that had to see it clones and drops.
    Last(T),
    /// The value, to be cloned.
    Shared(Rc<Option<T>>),
    /// So many positions are kept no longer.
    Missed(u64),
    /// Nothing yet.
    Nothing,
}

impl<T> Ring<T> {
    /// How many slots an idle channel keeps: each with an `Rc`, which has two counts.
    const KEPT: usize =
        room_for_items_of(size_of::<Slot<T>>() + size_of::<Option<T>>() + 2 * size_of::<usize>());

    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            capacity,
            end: 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How many values are kept for somebody.
    pub(super) fn len(&self) -> usize {
        let seen = self.slots.partition_point(|slot| slot.unseen == 0);
        self.slots.len() - seen
    }

    /// Puts a value at the end, for so many receivers, and returns the one
    /// that had to make room for it.
    #[inline]
    pub(super) fn push(&mut self, value: T, receivers: usize) -> Option<T> {
        // The oldest slot is used again if it has to make room or all have seen its value.
        let is_full = self.slots.len() == self.capacity;
        let is_seen = |slot: &Slot<T>| slot.unseen == 0;
        let mut slot = if is_full || self.slots.front().is_some_and(is_seen) {
            self.slots.pop_front()
        } else {
            None
        }
        .unwrap_or(Slot {
            value: None,
            unseen: 0,
        });
        let oldest = match slot.value.as_mut().and_then(Rc::get_mut) {
            Some(place) => place.replace(value),
            None => {
                // Whoever clones from the old one drops it.
                slot.value = Some(Rc::new(Some(value)));
                None
            }
        };
        slot.unseen = receivers;
        self.slots.push_back(slot);
        self.end += 1;
        oldest
    }

    /// Lets a receiver see what is at this position.
    #[inline]
    pub(super) fn see(&mut self, position: u64) -> Seen<T> {
        let oldest = self.oldest();
        if position < oldest {
            return Seen::Missed(oldest - position);
        }
        let seen = match usize::try_from(position - oldest) {
            Ok(index) if index < self.slots.len() => self.slots[index].see(),
            _ => Seen::Nothing,
        };
        self.trim();
        seen
    }

    /// Lets a receiver go that has not seen the positions from this one on, and
    /// returns the values that nobody else has yet to see.
    pub(super) fn leave(&mut self, position: u64) -> Vec<T> {
        let skipped = usize::try_from(position.saturating_sub(self.oldest()));
        let unseen = self
            .slots
            .iter_mut()
            .skip(skipped.unwrap_or(usize::MAX))
            .filter_map(|slot| match slot.see() {
                Seen::Last(value) => Some(value),
                Seen::Shared(_) | Seen::Missed(_) | Seen::Nothing => None,
            })
            .collect();
        self.trim();
        unseen
    }

    /// If every receiver has seen every value, gives back the memory that an idle channel does
    /// not keep.
    #[inline]
    fn trim(&mut self) {
        let is_idle = self.slots.back().is_none_or(|newest| newest.unseen == 0);
        if is_idle && self.slots.capacity() > Self::KEPT {
            self.give_back();
        }
    }

    #[cold]
    fn give_back(&mut self) {
        // These slots have no values (invariant 3), so this runs no destructor of a value.
        let superfluous = self.slots.len().saturating_sub(Self::KEPT);
        self.slots.drain(..superfluous);
        self.slots.shrink_to(Self::KEPT);
    }

    /// The position of the oldest slot.
    #[inline]
    pub(super) fn oldest(&self) -> u64 {
        self.end - self.slots.len() as u64
    }
}

impl<T> Slot<T> {
    #[inline]
    fn see(&mut self) -> Seen<T> {
        self.unseen -= 1;
        let Some(value) = &mut self.value else {
            unreachable!("somebody has yet to see it (invariant 3)");
        };
        if self.unseen > 0 {
            return Seen::Shared(Rc::clone(value));
        }
        match Rc::get_mut(value).map(Option::take) {
            Some(Some(value)) => Seen::Last(value),
            // Somebody is cloning it right now.
            _ => self.value.take().map_or(Seen::Nothing, Seen::Shared),
        }
    }
}
