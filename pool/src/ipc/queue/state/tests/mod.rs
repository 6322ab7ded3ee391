//! The decisions of a queue: single cases, and a model with clients that are killed at any time.

mod cases;
mod model;

use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use super::words::{CREDIT_WORDS, Credits, OFFER_WORDS, Offers, SLOTS};
use super::*;

const WITH_DESCRIPTORS: u64 = 1 << 63;

/// An item is a number, of one byte.
impl Size for u64 {
    fn size(&self) -> usize {
        1
    }

    /// Large numbers stand for items with descriptors.
    fn has_descriptors(&self) -> bool {
        *self >= WITH_DESCRIPTORS
    }
}

type Memory = Rc<[AtomicU64]>;

fn memory(length: usize) -> Memory {
    (0..length).map(|_| AtomicU64::new(0)).collect()
}

fn offers(memory: &Memory) -> Offers<Memory> {
    Offers::new(Rc::clone(memory)).unwrap()
}

fn credits(memory: &Memory) -> Credits<Memory> {
    Credits::new(Rc::clone(memory)).unwrap()
}

fn key(client: Client, request: u64) -> Key {
    Key { client, request }
}

fn limits(capacity: usize) -> Limits {
    Limits {
        capacity,
        prefetch: 4,
        prefetch_bytes: 100,
        credits: 4,
        waiting_bytes: 50,
    }
}

impl State<u64, Memory> {
    /// Checks the invariants.
    fn check(&self) {
        let at_consumers: usize = self.consumers.values().map(Consumer::check).sum();
        let count = self.ready.len() + self.held.len() + at_consumers;
        assert_eq!(self.count, count, "invariants 1 and 2");
        let reserved: u64 = self.producers.values().map(Producer::reserved).sum();
        assert_eq!(self.reserved, reserved, "invariant 1");
        assert!(self.count as u64 + reserved <= self.limits.capacity as u64);
        assert!(self.puts.is_empty() || self.room() == 0, "invariant 3");
        assert!(
            self.wishes.is_empty() || self.ready.is_empty(),
            "invariant 4"
        );
    }
}
