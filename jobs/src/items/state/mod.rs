//! [`State`], the items of a queue, their leases, and the requests that wait. It does no I/O.

#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::services::SessionId;

pub(super) use waiting::Outcome;
use waiting::{Getter, Putter};

/// How long an answer with several items is at most.
const BATCH: usize = 1024 * 1024;

/// How long an item is in an answer beside its body: the lease, the attempt and the length.
pub(super) const HEADER: usize = 16;

/// How much one request may get.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtMost {
    /// The number of items. 0 counts as 1 in a request that waits.
    pub(super) items: usize,
    /// How long the answer may be, unless it has only one item.
    pub(super) bytes: usize,
}

/// An item that was granted to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) lease: u64,
    /// How often the item has been granted: 1 for the first time.
    pub(super) attempt: u32,
    pub(super) body: Vec<u8>,
}

/// The queue was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    Done(T),
    /// It waits under this number.
    Waits(u64),
}

/// A queue of items.
#[derive(Debug)]
pub(super) struct State {
    capacity: usize,
    /// The items that wait, by their numbers.
    items: BTreeMap<u64, Item>,
    leases: BTreeMap<(SessionId, u64), (u64, Item)>,
    /// The requests that wait, by their numbers, so that the first one is next. One that is
    /// dropped is found among any number of them.
    putters: BTreeMap<u64, Putter>,
    getters: BTreeMap<u64, Getter>,
    joiners: BTreeSet<u64>,
    /// What became of the requests that waited, until they take it.
    outcomes: HashMap<u64, Outcome>,
    /// The requests that waited, and that have an outcome since the last look.
    woken: Vec<u64>,
    next_item: u64,
    next_lease: u64,
    next_waiter: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Item {
    /// How often it was granted.
    attempts: u32,
    body: Vec<u8>,
}

impl State {
    /// Creates a queue for `capacity` items, at least one. The leases are numbered from
    /// `first_lease`. It is random, so that a lease of a manager that has ended is not mistaken
    /// for one of the manager that follows it.
    pub(super) fn new(capacity: usize, first_lease: u64) -> Self {
        Self {
            capacity: capacity.max(1),
            items: BTreeMap::new(),
            leases: BTreeMap::new(),
            putters: BTreeMap::new(),
            getters: BTreeMap::new(),
            joiners: BTreeSet::new(),
            outcomes: HashMap::new(),
            woken: Vec::new(),
            next_item: 0,
            next_lease: first_lease,
            next_waiter: 0,
            is_closed: false,
        }
    }

    /// Puts items, and waits for room if there is none, behind those that wait already.
    pub(super) fn put(&mut self, bodies: Vec<Vec<u8>>) -> Result<Step<()>, Closed> {
        if self.is_closed {
            return Err(Closed);
        }
        let waiter = self.next_waiter();
        let bodies = bodies.into();
        self.putters.insert(waiter, Putter { bodies });
        self.settle();
        Ok(match self.take_at_once(waiter) {
            Some(_) => Step::Done(()),
            None => Step::Waits(waiter),
        })
    }

    /// Puts items if there is room for all of them.
    pub(super) fn try_put(&mut self, bodies: Vec<Vec<u8>>) -> Result<bool, Closed> {
        if self.is_closed {
            return Err(Closed);
        }
        let room = self.capacity.saturating_sub(self.items.len());
        if !self.putters.is_empty() || bodies.len() > room {
            return Ok(false);
        }
        for body in bodies {
            self.add(body);
        }
        self.settle();
        Ok(true)
    }

    /// Grants between 1 and `max` items to a client, and waits for the first, behind those that
    /// wait already.
    pub(super) fn get(
        &mut self,
        session: SessionId,
        max: AtMost,
    ) -> Result<Step<Vec<Granted>>, Closed> {
        let waiter = self.next_waiter();
        let max = AtMost {
            items: max.items.max(1),
            ..max
        };
        self.getters.insert(waiter, Getter { session, max });
        self.settle();
        match self.take_at_once(waiter) {
            Some(Outcome::Got(granted)) => Ok(Step::Done(granted)),
            Some(_) => Err(Closed),
            None => Ok(Step::Waits(waiter)),
        }
    }

    /// Grants up to `max` items that are there. There are none for a request that is not to wait
    /// while others wait.
    pub(super) fn try_get(
        &mut self,
        session: SessionId,
        max: AtMost,
    ) -> Result<Vec<Granted>, Closed> {
        if self.items.is_empty() && self.is_finished() {
            return Err(Closed);
        }
        let granted = self.grant(session, max);
        self.settle();
        Ok(granted)
    }

    /// Confirms an item. Returns `false` if the client does not have the lease.
    pub(super) fn ack(&mut self, session: SessionId, lease: u64) -> bool {
        let is_held = self.leases.remove(&(session, lease)).is_some();
        self.settle();
        is_held
    }

    /// Returns an item to its place. Returns `false` if the client does not have the lease.
    pub(super) fn give_back(&mut self, session: SessionId, lease: u64) -> bool {
        let Some((number, item)) = self.leases.remove(&(session, lease)) else {
            return false;
        };
        self.items.insert(number, item);
        self.settle();
        true
    }

    /// Ends all leases of a client.
    pub(super) fn gone(&mut self, session: SessionId) {
        let all = (session, 0)..=(session, u64::MAX);
        let held: Vec<_> = self.leases.range(all).map(|(&key, _)| key).collect();
        for key in held {
            if let Some((number, item)) = self.leases.remove(&key) {
                self.items.insert(number, item);
            }
        }
        self.settle();
    }

    /// Waits until all items were confirmed, including those that wait for room.
    pub(super) fn join(&mut self) -> Step<()> {
        let waiter = self.next_waiter();
        self.joiners.insert(waiter);
        self.settle();
        match self.take_at_once(waiter) {
            Some(_) => Step::Done(()),
            None => Step::Waits(waiter),
        }
    }

    /// Accepts no more items. Those in the queue can be got.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.settle();
    }

    /// Returns how many items wait.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn next_waiter(&mut self) -> u64 {
        self.next_waiter += 1;
        self.next_waiter
    }

    fn add(&mut self, body: Vec<u8>) {
        let item = Item { attempts: 0, body };
        self.items.insert(self.next_item, item);
        self.next_item += 1;
    }

    /// Returns whether there will be no more items.
    fn is_finished(&self) -> bool {
        self.is_closed && self.leases.is_empty()
    }

    fn grant(&mut self, session: SessionId, max: AtMost) -> Vec<Granted> {
        let mut granted = Vec::new();
        let max_bytes = max.bytes.min(BATCH);
        // An answer begins with its kind.
        let mut bytes = 1;
        while granted.len() < max.items
            && let Some(first) = self.items.first_entry()
        {
            bytes += HEADER + first.get().body.len();
            if !granted.is_empty() && bytes > max_bytes {
                break;
            }
            let (number, mut item) = first.remove_entry();
            item.attempts = item.attempts.saturating_add(1);
            let lease = self.next_lease;
            self.next_lease += 1;
            granted.push(Granted {
                lease,
                attempt: item.attempts,
                body: item.body.clone(),
            });
            self.leases.insert((session, lease), (number, item));
        }
        granted
    }
}
