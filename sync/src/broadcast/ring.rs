//! [`Ring`]: the values that are kept, by position. The first value that was ever sent has
//! position 0.
//!
//! # Invariants
//!
//! 1. The slots hold the positions up to `end`, without a gap. There are at most
//!    `capacity` slots.
//! 2. `unseen` counts the receivers that have not received the value at a position
//!    yet. It never falls from one slot to the next: a receiver that has not received
//!    a value has not received the later values either.
//! 3. A slot has a value exactly if a receiver has not received it yet.
//! 4. No function here clones or drops a value: values are returned to the caller,
//!    which borrows nothing. A caller that clones a value owns an `Rc` of it, so the
//!    value stays even if the slot is filled again meanwhile.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::buffer::kept_items;

pub(super) struct Ring<T> {
    slots: VecDeque<RingSlot<T>>,
    capacity: usize,
    /// The position of the next value.
    end: u64,
}

struct RingSlot<T> {
    /// An `Rc` with no other owner is filled again, so that a channel that is in use does
    /// not allocate.
    value: Option<Rc<Option<T>>>,
    unseen: usize,
}

/// What a receiver finds at a position.
pub(super) enum Seen<T> {
    /// The value, for the last receiver to receive it, which clones and drops it.
    Last(T),
    /// The value, for the caller to clone.
    Shared(Rc<Option<T>>),
    /// This number of positions is no longer kept.
    Missed(u64),
    /// No value yet.
    Nothing,
}

impl<T> Ring<T> {
    /// The number of slots that an idle channel keeps. Each has an `Rc`, which has two counts.
    const KEPT: usize =
        kept_items(size_of::<RingSlot<T>>() + size_of::<Option<T>>() + 2 * size_of::<usize>());

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

    /// Returns the number of values that a receiver has not received yet.
    pub(super) fn len(&self) -> usize {
        let seen = self.slots.partition_point(|slot| slot.unseen == 0);
        self.slots.len() - seen
    }

    /// Puts a value at the end, for `receivers` receivers. Returns the oldest value if its
    /// room was needed.
    #[inline]
    pub(super) fn push(&mut self, value: T, receivers: usize) -> Option<T> {
        // The oldest slot is reused if its room is needed, or all receivers have seen its value.
        let is_full = self.slots.len() == self.capacity;
        let is_seen = |slot: &RingSlot<T>| slot.unseen == 0;
        let mut slot = if is_full || self.slots.front().is_some_and(is_seen) {
            self.slots.pop_front()
        } else {
            None
        }
        .unwrap_or(RingSlot {
            value: None,
            unseen: 0,
        });
        let oldest = match slot.value.as_mut().and_then(Rc::get_mut) {
            Some(place) => place.replace(value),
            None => {
                // A receiver that is cloning the old value drops it.
                slot.value = Some(Rc::new(Some(value)));
                None
            }
        };
        slot.unseen = receivers;
        self.slots.push_back(slot);
        self.end += 1;
        oldest
    }

    /// Receives the value at a position.
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

    /// Removes a receiver that has not received the positions from this one on. Returns the
    /// values that no other receiver has yet to receive.
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

    /// If every receiver has received every value, frees the memory that an idle channel does
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

impl<T> RingSlot<T> {
    #[inline]
    fn see(&mut self) -> Seen<T> {
        self.unseen -= 1;
        let Some(value) = &mut self.value else {
            unreachable!("a receiver has not received it yet (invariant 3)");
        };
        if self.unseen > 0 {
            return Seen::Shared(Rc::clone(value));
        }
        match Rc::get_mut(value).map(Option::take) {
            Some(Some(value)) => Seen::Last(value),
            // A receiver is cloning the value right now.
            _ => self.value.take().map_or(Seen::Nothing, Seen::Shared),
        }
    }
}
