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
//! 3. The operations on the words of items and on the word of reports are sequentially consistent.
//!    The queue asks for a report and then looks at the words of items; a consumer changes the word
//!    of an item and then looks whether a report is asked for. So at least one of the two sees what
//!    the other has done. The same holds for two items: a consumer confirms one and sees that it
//!    still has another offer, or the queue takes that offer back and then sees the confirmation.
//! 4. The numbers are input from another process. What a broken process writes changes what becomes
//!    of the items that were sent to it, and of nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of words for items of a consumer. It limits how many items a consumer may hold.
pub(crate) const SLOTS: usize = 512;

/// The number of words of a consumer: one for each slot, and the word of reports.
pub(crate) const OFFER_WORDS: usize = SLOTS + 1;

/// The place of the word of reports. It is 1 if the queue asks the consumer to report the next item
/// that it confirms at once, and 0 otherwise.
const REPORT: usize = SLOTS;

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
        (memory.as_ref().len() == OFFER_WORDS).then_some(Self(memory))
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
        let now = self.0.as_ref()[slot].load(Ordering::SeqCst);
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

    /// Asks the consumer to report the next item that it confirms. Returns false if it was asked
    /// already and has not reported since.
    pub(crate) fn ask_for_report(&self) -> bool {
        let report = &self.0.as_ref()[REPORT];
        // The queue is the only one that sets the word.
        if report.load(Ordering::SeqCst) != 0 {
            return false;
        }
        report.store(1, Ordering::SeqCst);
        true
    }

    /// Returns whether the queue asks for a report, which the consumer sends now. The queue looks at
    /// all words then, and asks again if it has to.
    pub(crate) fn take_request_for_report(&self) -> bool {
        let report = &self.0.as_ref()[REPORT];
        report.load(Ordering::SeqCst) != 0 && report.swap(0, Ordering::SeqCst) != 0
    }

    /// Returns whether an item was offered and neither the consumer has begun with it nor the queue
    /// has taken it back.
    pub(crate) fn is_offered(&self, slot: usize, sequence: u64) -> bool {
        let now = self.0.as_ref()[..SLOTS].get(slot);
        now.is_some_and(|now| now.load(Ordering::SeqCst) == word(sequence, OFFERED))
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
        let Some(now) = self.0.as_ref()[..SLOTS].get(slot) else {
            return false;
        };
        let (from, to) = (word(sequence, from), word(sequence, to));
        now.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed)
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
        Offers::new((0..OFFER_WORDS).map(|_| AtomicU64::new(0)).collect()).unwrap()
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
    fn a_report_is_requested_once() {
        let offers = offers();
        assert!(!offers.take_request_for_report());
        assert!(offers.ask_for_report() && !offers.ask_for_report());
        assert!(offers.take_request_for_report() && !offers.take_request_for_report());
        assert!(offers.ask_for_report());
        // It is no slot.
        assert!(!offers.is_offered(SLOTS, 0) && !offers.take(SLOTS, 0));
    }

    #[test]
    fn an_offer_that_was_taken_back_is_none() {
        let offers = offers();
        offers.offer(3, 7);
        assert!(offers.is_offered(3, 7) && !offers.is_offered(3, 6));
        assert!(offers.revoke(3, 7));
        assert!(!offers.is_offered(3, 7));
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
