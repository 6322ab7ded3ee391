//! [`Consumer`], what a queue knows of one process that takes items.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;

use super::Size;
use super::ready::Item;
use super::words::{Offers, SLOTS, Stage};
use crate::ipc::broker::state::{Key, Violation};

/// A consumer in another process or thread.
///
/// The queue sends it items before they are asked for. The consumer begins with an item by
/// changing its word, and the queue takes an item back by changing the word first. From time to
/// time the consumer sends a *notice*: which offer it has read last, and how many tasks or threads
/// wait for an item. It sends one when the first of them begins to wait, when it has confirmed an
/// item and has no other offer, when it has confirmed many items, and when the queue has asked for
/// a report because something waits for room.
///
/// A consumer that has confirmed an item and has another offer need not report it if nothing waits
/// for room: the queue is not empty before something has become of that offer, which is an event
/// upon which the queue looks at all words.
///
/// # Invariants
///
/// 1. `outstanding` lists the items that were sent, and are neither confirmed nor back in the queue,
///    as far as the queue has looked, in the order of their sequences. Each has a slot of its own.
/// 2. An offer with a sequence above `seen`, and at most `seen + waiting`, is for something that
///    waits, and is not taken back for another consumer. All other offers are a reserve.
/// 3. A consumer that sends no notices is sent nothing more, although its reserve may be taken back
///    again and again: what it has not read is limited, in number and in bytes, so that it fits in
///    its socket.
pub(super) struct Consumer<P, M> {
    pub(super) key: Key,
    offers: Offers<M>,
    outstanding: VecDeque<Outstanding<P>>,
    /// The slots that no outstanding item has.
    free: Vec<usize>,
    /// The bytes of the outstanding items.
    bytes: usize,
    /// The sequence of the last offer.
    sent: u64,
    /// The last offer that the consumer had read at its last notice.
    seen: u64,
    /// The bytes of each offer after `seen`, and their sum. Invariant 3.
    unseen: VecDeque<usize>,
    unseen_bytes: usize,
    /// How many tasks or threads waited for an item at the last notice.
    waiting: u64,
    /// Whether there may be offers in reserve that the queue has not tried to take back.
    may_have_reserve: bool,
    /// The consumer waits in the line of wishes.
    pub(super) is_in_line: bool,
    /// The consumer knows that there will be no more items.
    pub(super) knows_end: bool,
    /// The consumer cannot be sent anything.
    pub(super) is_gone: bool,
}

struct Outstanding<P> {
    sequence: u64,
    slot: usize,
    item: Item<P>,
}

/// An item that is to be sent to a consumer.
#[derive(Debug)]
pub(crate) struct Offer<P> {
    pub(crate) slot: usize,
    pub(crate) sequence: u64,
    pub(crate) deliveries: u32,
    pub(crate) payload: P,
}

impl<P: Clone + Size, M: AsRef<[AtomicU64]>> Consumer<P, M> {
    pub(super) fn new(key: Key, offers: Offers<M>) -> Self {
        Self {
            key,
            offers,
            outstanding: VecDeque::new(),
            free: (0..SLOTS).rev().collect(),
            bytes: 0,
            sent: 0,
            seen: 0,
            unseen: VecDeque::new(),
            unseen_bytes: 0,
            waiting: 0,
            may_have_reserve: false,
            is_in_line: false,
            knows_end: false,
            is_gone: false,
        }
    }

    /// Returns how many items the consumer waits for that were not sent.
    pub(super) fn demand(&self) -> u64 {
        if self.is_gone {
            return 0;
        }
        self.waiting.saturating_sub(self.sent - self.seen)
    }

    /// Returns whether the consumer may be sent an item for which it waits.
    pub(super) fn has_slot(&self) -> bool {
        !self.is_gone && !self.free.is_empty()
    }

    /// Returns whether the consumer may be sent an item of this size before it asks, and if so,
    /// how many it has.
    pub(super) fn reserve_room(&self, prefetch: usize, bytes: usize, size: usize) -> Option<usize> {
        let has = self.outstanding.len();
        let fits = |others: usize| others.saturating_add(size) <= bytes;
        let has_room = has < prefetch && fits(self.bytes) && self.has_slot();
        let reads = self.unseen.len() < prefetch && fits(self.unseen_bytes);
        (has_room && reads).then_some(has)
    }

    /// Adds an item to the outstanding ones. Returns what is sent to the consumer.
    pub(super) fn offer(&mut self, item: Item<P>) -> Result<Offer<P>, Item<P>> {
        let Some(slot) = self.free.pop() else {
            return Err(item);
        };
        self.sent += 1;
        let sequence = self.sent;
        self.offers.offer(slot, sequence);
        self.may_have_reserve = true;
        let size = item.payload.size();
        self.bytes += size;
        self.unseen_bytes += size;
        self.unseen.push_back(size);
        let offer = Offer {
            slot,
            sequence,
            deliveries: item.deliveries,
            payload: item.payload.clone(),
        };
        self.outstanding.push_back(Outstanding {
            sequence,
            slot,
            item,
        });
        Ok(offer)
    }

    /// Handles a notice.
    ///
    /// # Errors
    ///
    /// Returns an error if the consumer cannot have read the offer.
    pub(super) fn notice(&mut self, seen: u64, waiting: u64) -> Result<(), Violation> {
        if seen < self.seen || seen > self.sent {
            return Err(Violation("a notice about an offer that was not sent"));
        }
        while self.seen < seen {
            self.seen += 1;
            self.unseen_bytes -= self.unseen.pop_front().unwrap_or(0);
        }
        self.waiting = waiting;
        self.may_have_reserve = true;
        Ok(())
    }

    /// Finds out which items were confirmed or returned. Returns how many were confirmed.
    pub(super) fn collect(&mut self, returned: &mut Vec<Item<P>>) -> usize {
        let mut confirmed = 0;
        // Each item is moved to the back, unless it has ended, so that the order stays.
        for _ in 0..self.outstanding.len() {
            let Some(outstanding) = self.outstanding.pop_front() else {
                break;
            };
            match self.offers.stage(outstanding.slot, outstanding.sequence) {
                Stage::Offered | Stage::Leased => self.outstanding.push_back(outstanding),
                Stage::Confirmed => {
                    confirmed += 1;
                    drop(self.release(outstanding));
                }
                Stage::Returned => {
                    let mut item = self.release(outstanding);
                    item.deliveries = item.deliveries.saturating_add(1);
                    returned.push(item);
                }
            }
        }
        confirmed
    }

    /// Asks the consumer to report the next item that it confirms. Returns false if it was asked
    /// already, or cannot report anything.
    pub(super) fn ask_for_report(&self) -> bool {
        !self.is_gone && self.offers.ask_for_report()
    }

    /// Finds the oldest item that is in reserve. Returns its place and its number.
    pub(super) fn oldest_in_reserve(&mut self) -> Option<(usize, u64)> {
        if !self.may_have_reserve {
            return None;
        }
        // Invariant 2.
        let kept = self.seen + 1..=self.seen.saturating_add(self.waiting);
        let in_reserve = self
            .outstanding
            .iter()
            .enumerate()
            .filter(|(_, outstanding)| {
                let Outstanding { sequence, slot, .. } = **outstanding;
                !kept.contains(&sequence) && self.offers.stage(slot, sequence) == Stage::Offered
            });
        // An item that has come back once may be behind newer ones.
        let oldest = in_reserve
            .map(|(place, outstanding)| (place, outstanding.item.number))
            .min_by_key(|(_, number)| *number);
        self.may_have_reserve = oldest.is_some();
        oldest
    }

    /// Takes an item back, unless the consumer begins with it.
    pub(super) fn take_back(&mut self, place: usize) -> Option<Item<P>> {
        let Outstanding { sequence, slot, .. } = self.outstanding[place];
        if !self.offers.revoke(slot, sequence) {
            return None;
        }
        let outstanding = self.outstanding.remove(place)?;
        Some(self.release(outstanding))
    }

    /// Takes back whatever the consumer has not begun with, because nothing can be sent to it any
    /// more.
    pub(super) fn take_all_back(&mut self, returned: &mut Vec<Item<P>>) {
        self.is_gone = true;
        for outstanding in std::mem::take(&mut self.outstanding) {
            if self.offers.revoke(outstanding.slot, outstanding.sequence) {
                returned.push(self.release(outstanding));
            } else {
                self.outstanding.push_back(outstanding);
            }
        }
    }

    /// Takes everything back that was not confirmed, because the process has ended. Call
    /// `collect` and `take_all_back` before.
    pub(super) fn reclaim(self, returned: &mut Vec<Item<P>>) {
        returned.extend(self.outstanding.into_iter().map(|mut outstanding| {
            let deliveries = &mut outstanding.item.deliveries;
            *deliveries = deliveries.saturating_add(1);
            outstanding.item
        }));
    }

    /// Returns whether items are outstanding.
    pub(super) fn holds(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Returns how many items the consumer has not begun with.
    pub(super) fn offered(&self) -> usize {
        let is_offered = |outstanding: &&Outstanding<P>| {
            self.offers.stage(outstanding.slot, outstanding.sequence) == Stage::Offered
        };
        self.outstanding.iter().filter(is_offered).count()
    }

    /// Checks the counts. Returns how many items are outstanding.
    #[cfg(test)]
    pub(super) fn check(&self) -> usize {
        assert_eq!(self.unseen.len() as u64, self.sent - self.seen);
        assert_eq!(self.unseen_bytes, self.unseen.iter().sum::<usize>());
        assert_eq!(self.outstanding.len() + self.free.len(), SLOTS);
        self.outstanding.len()
    }

    /// Gives the slot of an item back.
    fn release(&mut self, outstanding: Outstanding<P>) -> Item<P> {
        self.free.push(outstanding.slot);
        self.bytes -= outstanding.item.payload.size();
        outstanding.item
    }
}
