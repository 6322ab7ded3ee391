//! The memory that a queue shares with each of its clients: [`Offers`], the words of the items that
//! were sent to a consumer, and [`Credits`], the number of items that a producer may send without
//! asking.
//!
//! Both are changed by single atomic operations. So a consumer confirms an item, and a producer
//! takes a credit, without a system call, and the queue learns of it even if the process is killed
//! right afterwards. And the queue takes an item or a credit back at once, whatever the process is
//! doing.
//!
//! ```text
//!              offer, by the queue, before it writes the frame
//!   (unused) ──────────────────────────────────────────────▶ OFFERED
//!                                  lease, by the consumer │  │  │ revoke, by the queue
//!                              ┌──────────────────────────┘  │  └─────────▶ REVOKED
//!                              ▼                             │ take, by the consumer
//!                           LEASED ──confirm, by the consumer┴▶ CONFIRMED
//!                              └─────give_back, by the consumer▶ RETURNED
//! ```
//!
//! # Invariants
//!
//! 1. A word is `sequence << 3 | state`. Only the queue writes a new sequence, and only if the word
//!    belongs to no item: it is new, or the queue has seen its item revoked, confirmed or returned.
//! 2. Every other transition is a compare-and-swap from one state of one sequence. So of a `take`,
//!    a `lease` and a `revoke` exactly one succeeds.
//! 3. The numbers are input from another process. What a broken process writes changes what becomes
//!    of the items that were sent to it, and of nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of words of a consumer. It limits how many items a consumer may hold.
pub(crate) const SLOTS: usize = 512;

/// The number of words of a producer.
pub(crate) const CREDIT_WORDS: usize = 1;

const OFFERED: u64 = 1;
const LEASED: u64 = 2;
const CONFIRMED: u64 = 3;
const RETURNED: u64 = 4;
const REVOKED: u64 = 5;

const STATE_BITS: u32 = 3;

/// How far an item has come that was sent to a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The consumer has not begun with it.
    Offered,
    /// User code has it, and has not confirmed it.
    Leased,
    Confirmed,
    /// User code has had it, and gives it back.
    Returned,
}

/// The words of a consumer.
#[derive(Debug)]
pub(crate) struct Offers<M>(M);

impl<M: AsRef<[AtomicU64]>> Offers<M> {
    /// Returns `None` if the memory has another length.
    pub(crate) fn new(memory: M) -> Option<Self> {
        (memory.as_ref().len() == SLOTS).then_some(Self(memory))
    }

    /// Begins with a new item.
    ///
    /// # Panics
    ///
    /// Panics if `slot` is not below [`SLOTS`]. So do the other methods of the queue.
    pub(crate) fn offer(&self, slot: usize, sequence: u64) {
        self.0.as_ref()[slot].store(word(sequence, OFFERED), Ordering::Release);
    }

    /// Takes an item back that the consumer has not begun with. Returns whether it was so.
    pub(crate) fn revoke(&self, slot: usize, sequence: u64) -> bool {
        self.change(slot, sequence, OFFERED, REVOKED)
    }

    pub(crate) fn stage(&self, slot: usize, sequence: u64) -> Stage {
        let now = self.0.as_ref()[slot].load(Ordering::Acquire);
        if now == word(sequence, OFFERED) {
            Stage::Offered
        } else if now == word(sequence, CONFIRMED) {
            Stage::Confirmed
        } else if now == word(sequence, RETURNED) {
            Stage::Returned
        } else {
            // Or the consumer is broken, and has the item until its process ends.
            Stage::Leased
        }
    }

    /// Begins with an item and confirms it. Returns `false` if the queue has taken it back.
    pub(crate) fn take(&self, slot: usize, sequence: u64) -> bool {
        self.change(slot, sequence, OFFERED, CONFIRMED)
    }

    /// Begins with an item. Returns `false` if the queue has taken it back.
    pub(crate) fn lease(&self, slot: usize, sequence: u64) -> bool {
        self.change(slot, sequence, OFFERED, LEASED)
    }

    /// Confirms a leased item.
    pub(crate) fn confirm(&self, slot: usize, sequence: u64) {
        self.change(slot, sequence, LEASED, CONFIRMED);
    }

    /// Gives a leased item back to the queue.
    pub(crate) fn give_back(&self, slot: usize, sequence: u64) {
        self.change(slot, sequence, LEASED, RETURNED);
    }

    fn change(&self, slot: usize, sequence: u64, from: u64, to: u64) -> bool {
        let Some(now) = self.0.as_ref().get(slot) else {
            return false;
        };
        let (from, to) = (word(sequence, from), word(sequence, to));
        now.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

fn word(sequence: u64, state: u64) -> u64 {
    sequence << STATE_BITS | state
}

/// The credits of a producer.
#[derive(Debug)]
pub(crate) struct Credits<M>(M);

impl<M: AsRef<[AtomicU64]>> Credits<M> {
    /// Returns `None` if the memory has another length.
    pub(crate) fn new(memory: M) -> Option<Self> {
        (memory.as_ref().len() == CREDIT_WORDS).then_some(Self(memory))
    }

    /// Adds credits. The queue has room for as many items.
    pub(crate) fn grant(&self, count: u64) {
        self.0.as_ref()[0].fetch_add(count, Ordering::AcqRel);
    }

    /// Takes all credits back that the producer has not taken, and returns their number.
    pub(crate) fn reclaim(&self) -> u64 {
        self.0.as_ref()[0].swap(0, Ordering::AcqRel)
    }

    /// Takes a credit, with which the producer sends one item. Returns whether there was one.
    pub(crate) fn take(&self) -> bool {
        let available = &self.0.as_ref()[0];
        available
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                now.checked_sub(1)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers() -> Offers<Vec<AtomicU64>> {
        Offers::new((0..SLOTS).map(|_| AtomicU64::new(0)).collect()).unwrap()
    }

    #[test]
    fn of_a_take_a_lease_and_a_revoke_one_succeeds() {
        let offers = offers();
        let ways: [fn(&Offers<_>, usize, u64) -> bool; 3] =
            [Offers::take, Offers::lease, Offers::revoke];
        for (slot, first) in ways.iter().enumerate() {
            assert!(!first(&offers, slot, 1));
            offers.offer(slot, 1);
            assert!(first(&offers, slot, 1));
            for other in ways {
                assert!(!other(&offers, slot, 1));
            }
        }
    }

    #[test]
    fn a_word_belongs_to_one_sequence() {
        let offers = offers();
        offers.offer(3, 7);
        assert!(offers.lease(3, 7));
        assert_eq!(offers.stage(3, 7), Stage::Leased);
        offers.confirm(3, 7);
        offers.give_back(3, 7);
        assert_eq!(offers.stage(3, 7), Stage::Confirmed);
        offers.offer(3, 8);
        offers.confirm(3, 7);
        assert!(!offers.take(3, 7) && !offers.take(SLOTS, 8));
        assert_eq!(offers.stage(3, 8), Stage::Offered);
        assert!(offers.lease(3, 8));
        offers.give_back(3, 8);
        assert_eq!(offers.stage(3, 8), Stage::Returned);
    }

    #[test]
    fn a_credit_is_taken_once() {
        let credits = Credits::new(vec![AtomicU64::new(0)]).unwrap();
        assert!(!credits.take());
        credits.grant(3);
        assert!(credits.take());
        assert_eq!((credits.reclaim(), credits.reclaim()), (2, 0));
        assert!(!credits.take());
    }

    #[test]
    fn memory_of_another_length_is_refused() {
        assert!(Offers::new(vec![AtomicU64::new(0)]).is_none());
        assert!(Credits::new(Vec::new()).is_none());
    }
}
