//! [`State`], which decides where each item of a queue goes. It does no I/O and has no clock.
//!
//! ```text
//!   put, and there is no room           put, put_with_credit
//!        │                                       │
//!        ▼                room                   ▼        offer
//!     waiting put ───────────────────────────▶ ready ───────────────▶ outstanding, at a consumer
//!                                                │ ▲                    │            │
//!                                           give │ └── revoked, given ──┤            │
//!                                                ▼     back, or the     │            │
//!                                              held    consumer has died│            │
//!                                                └──────────────────────┘            │
//!                                                └────────────── confirm ────────────┴──▶ gone
//! ```
//!
//! # Invariants
//!
//! 1. `count` is the number of items that are ready, outstanding or held, and `reserved` the sum of
//!    what is reserved for producers. Both together are at most `capacity`.
//! 2. An item leaves the queue only when it is confirmed. Until then exactly one of `ready`, `held`
//!    and the consumers has it.
//! 3. No put waits while there is room that nothing has taken: credits that producers have not
//!    taken are taken back first.
//! 4. Nothing waits for an item while one is ready, or in reserve at a consumer that has a reserve.
//! 5. Items of one producer become ready in the order in which it has sent them.
//! 6. Consumers learn of the end when the queue is closed and all items are confirmed: an item that
//!    a consumer holds may come back.
//! 7. While a put waits, every consumer is asked to report the next item that it confirms.

mod consumer;
mod producer;
mod puts;
mod ready;
mod settle;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use consumer::Consumer;
use producer::Producer;
use puts::Puts;
use ready::Ready;
use words::{Credits, Offers};

use crate::ipc::broker::state::{Client, Key, LOCAL, Leave, Line, Violation};

pub(crate) use consumer::Offer;
pub(crate) use ready::Item;

/// What an item is.
pub(crate) trait Size {
    /// The number of bytes of the item.
    fn size(&self) -> usize;

    /// Returns whether the item keeps descriptors open. Such an item is not sent to a consumer that
    /// has not asked for it, and is dropped as soon as it is confirmed.
    fn has_descriptors(&self) -> bool;
}

/// The limits of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The maximum number of items, at least one.
    pub(crate) capacity: usize,
    /// How many items a consumer gets before it asks for them.
    pub(crate) prefetch: usize,
    /// How many bytes the items have at most that a consumer gets before it asks for them.
    pub(crate) prefetch_bytes: usize,
    /// How many credits a producer has at most.
    pub(crate) credits: u64,
    /// How many bytes of one client may wait for room.
    pub(crate) waiting_bytes: usize,
}

/// What a queue has decided.
#[derive(Debug)]
pub(crate) enum Action<P> {
    /// The item of this put is in the queue.
    Put(Key),
    /// The queue is closed, and the item of this put is not in it.
    Refused(Key),
    /// A consumer is sent an item.
    Offer(Key, Offer<P>),
    /// A get has its item, and holds it.
    Give(Key, Item<P>),
    /// There are no more items for this get.
    End(Key),
    /// The broker reports to a consumer that there are no more items.
    EndOfConsumer(Key),
    /// All items are confirmed.
    Joined(Key),
}

/// The outcome of a [`get`](State::get) or a [`put`](State::put).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    Done(T),
    /// The request waits, and an action follows.
    Waits,
    /// There is no room, or no item, and the request does not wait.
    Unavailable,
    /// The queue is closed, and for a get also empty.
    Closed,
}

/// What waits for an item.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Get(Key),
    /// A consumer, which waits for one item or for several.
    Consumer(Client),
}

/// The items of a queue, and what waits for them.
///
/// `M` is the memory that is shared with a consumer or a producer.
pub(crate) struct State<P, M> {
    limits: Limits,
    next_number: u64,
    ready: Ready<P>,
    held: HashMap<Key, Item<P>>,
    count: usize,
    reserved: u64,
    puts: Puts<P>,
    wishes: Line<Wish>,
    consumers: HashMap<Client, Consumer<P, M>>,
    producers: HashMap<Client, Producer<M>>,
    joins: Line<()>,
    is_closed: bool,
    has_ended: bool,
    actions: Vec<Action<P>>,
}

impl<P: Clone + Size, M: AsRef<[AtomicU64]>> State<P, M> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            next_number: 0,
            ready: Ready::new(),
            held: HashMap::new(),
            count: 0,
            reserved: 0,
            puts: Puts::new(),
            wishes: Line::new(),
            consumers: HashMap::new(),
            producers: HashMap::new(),
            joins: Line::new(),
            is_closed: false,
            has_ended: false,
            actions: Vec::new(),
        }
    }

    /// Returns what was decided since the last call, in order.
    pub(crate) fn take_actions(&mut self, into: &mut Vec<Action<P>>) {
        into.append(&mut self.actions);
    }

    /// Puts an item in the queue, or lets it wait for room if it may, and if not too much of a client
    /// in another process or thread waits already.
    pub(crate) fn put(&mut self, key: Key, payload: P, may_wait: bool) -> Outcome<()> {
        if self.is_closed {
            return Outcome::Closed;
        }
        if self.puts.is_empty() && self.make_room() {
            self.add(payload);
            self.replenish(key.client);
            self.settle();
            return Outcome::Done(());
        }
        let is_too_much = self.puts.bytes_of(key.client) >= self.limits.waiting_bytes;
        if !may_wait || (is_too_much && key.client != LOCAL) {
            // Looking for room may have found items that were given back.
            self.settle();
            return Outcome::Unavailable;
        }
        self.puts.push(key, payload);
        self.settle();
        Outcome::Waits
    }

    /// Puts an item in the queue for which its producer has taken a credit. The queue accepts it
    /// even if it is closed.
    ///
    /// # Errors
    ///
    /// Returns an error if the client has no credit.
    pub(crate) fn put_with_credit(&mut self, client: Client, payload: P) -> Result<(), Violation> {
        let producer = self.producers.get_mut(&client);
        let producer = producer.ok_or(Violation("a client that is no producer"))?;
        producer.came()?;
        self.reserved -= 1;
        self.add(payload);
        self.replenish(client);
        self.settle();
        Ok(())
    }

    /// Adds a client that may get credits.
    ///
    /// # Errors
    ///
    /// Returns an error if it is one already.
    pub(crate) fn add_producer(&mut self, key: Key, credits: Credits<M>) -> Result<(), Violation> {
        if self.producers.contains_key(&key.client) {
            return Err(Violation("a client is a producer twice"));
        }
        let producer = Producer::new(key, credits);
        self.producers.insert(key.client, producer);
        self.replenish(key.client);
        Ok(())
    }

    /// Takes a put back that waits. Returns whether it waited.
    pub(crate) fn cancel_put(&mut self, key: Key) -> bool {
        let has_waited = self.puts.remove(key);
        self.settle();
        has_waited
    }

    /// Adds a client that gets items before it asks for each.
    ///
    /// # Errors
    ///
    /// Returns an error if it is one already.
    pub(crate) fn add_consumer(&mut self, key: Key, offers: Offers<M>) -> Result<(), Violation> {
        if self.consumers.contains_key(&key.client) {
            return Err(Violation("a client is a consumer twice"));
        }
        let consumer = Consumer::new(key, offers);
        self.consumers.insert(key.client, consumer);
        self.settle();
        Ok(())
    }

    /// Handles the notice of a consumer: it has read the offers up to `seen`, and this many of its
    /// tasks and threads wait for an item. The last notices of a process may come after its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the consumer has not been sent the offer.
    pub(crate) fn notice(
        &mut self,
        client: Client,
        seen: u64,
        waiting: u64,
    ) -> Result<(), Violation> {
        let Some(consumer) = self.consumers.get_mut(&client) else {
            return Ok(());
        };
        consumer.notice(seen, waiting)?;
        let mut returned = Vec::new();
        self.count -= consumer.collect(&mut returned);
        // A consumer that waited already keeps its turn.
        if consumer.demand() > 0 && !consumer.is_in_line {
            consumer.is_in_line = true;
            self.wishes.push(consumer.key, Wish::Consumer(client));
        }
        self.put_back(returned);
        self.settle();
        Ok(())
    }

    /// Gets an item. If `confirms` is set and there is an item, it is confirmed at once.
    /// Otherwise the request holds it, also if it has waited.
    pub(crate) fn get(&mut self, key: Key, may_wait: bool, confirms: bool) -> Outcome<Item<P>> {
        if self.ready.is_empty() {
            // What consumers have given back comes before what they have in reserve, and what they
            // have confirmed makes room for puts that wait.
            self.collect_all();
            self.settle();
        }
        let item = match self.wishes.is_empty() {
            true => self.next_item(None),
            false => None,
        };
        let Some(item) = item else {
            if self.has_ended {
                return Outcome::Closed;
            }
            if !may_wait {
                return Outcome::Unavailable;
            }
            self.wishes.push(key, Wish::Get(key));
            return Outcome::Waits;
        };
        let given = match confirms {
            true => {
                self.count -= 1;
                item
            }
            false => self.hold(key, item),
        };
        self.settle();
        Outcome::Done(given)
    }

    /// Confirms the item that a request holds. Returns whether it held one.
    pub(crate) fn confirm(&mut self, key: Key) -> bool {
        let Some(confirmed) = self.held.remove(&key) else {
            return false;
        };
        drop(confirmed);
        self.count -= 1;
        self.settle();
        true
    }

    /// Returns the item that a request holds to the queue, because user code did not confirm it.
    /// Returns whether it held one.
    pub(crate) fn give_back(&mut self, key: Key) -> bool {
        let Some(mut item) = self.held.remove(&key) else {
            return false;
        };
        item.deliveries = item.deliveries.saturating_add(1);
        self.ready.insert(item);
        self.settle();
        true
    }

    /// Waits until all items are confirmed. Returns whether they are now; if not, an action
    /// follows.
    pub(crate) fn join(&mut self, key: Key) -> bool {
        self.joins.push(key, ());
        self.settle();
        // The action is not needed if it is the answer to this very call.
        let is_own =
            |action: &Action<P>| matches!(action, Action::Joined(joined) if *joined == key);
        let own = self.actions.iter().position(is_own);
        if let Some(own) = own {
            self.actions.remove(own);
        }
        own.is_some()
    }

    /// Lets the queue accept no more items.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.reclaim_credits();
        while let Some((key, _)) = self.puts.pop() {
            self.actions.push(Action::Refused(key));
        }
        self.settle();
    }

    /// Handles the end of an open request. Returns whether it has ended; it has not if its process
    /// still holds items and lives.
    pub(crate) fn leave(&mut self, key: Key, why: Leave) -> bool {
        let has_ended = self.leave_consumer(key, why)
            && self.leave_producer(key, why)
            && self.leave_get(key, why);
        self.puts.remove(key);
        self.joins.remove(key);
        self.settle();
        has_ended
    }

    fn leave_producer(&mut self, key: Key, why: Leave) -> bool {
        let Some(producer) = self.producers.get_mut(&key.client) else {
            return true;
        };
        if producer.key != key {
            return true;
        }
        self.reserved -= producer.leave();
        // What it has sent before its end may not have been read.
        let holds = producer.reserved() > 0 && why == Leave::SocketEnded;
        if !holds {
            self.reserved -= producer.reserved();
            self.producers.remove(&key.client);
        }
        !holds
    }

    fn leave_consumer(&mut self, key: Key, why: Leave) -> bool {
        let Some(consumer) = self.consumers.get_mut(&key.client) else {
            return true;
        };
        if consumer.key != key {
            return true;
        }
        self.wishes.remove(key);
        let mut returned = Vec::new();
        self.count -= consumer.collect(&mut returned);
        consumer.take_all_back(&mut returned);
        let holds = consumer.holds() && why == Leave::SocketEnded;
        if !holds && let Some(consumer) = self.consumers.remove(&key.client) {
            consumer.reclaim(&mut returned);
        }
        self.put_back(returned);
        !holds
    }

    fn leave_get(&mut self, key: Key, why: Leave) -> bool {
        self.wishes.remove(key);
        if why == Leave::SocketEnded && self.held.contains_key(&key) {
            return false;
        }
        if let Some(mut item) = self.held.remove(&key) {
            let was_delivered = why != Leave::Withdrawn;
            item.deliveries = item.deliveries.saturating_add(u32::from(was_delivered));
            self.ready.insert(item);
        }
        true
    }

    /// Returns the number of items that no user code has.
    pub(crate) fn len(&self) -> usize {
        let offered: usize = self.consumers.values().map(Consumer::offered).sum();
        self.ready.len() + offered
    }

    /// Returns the number of items that are not confirmed.
    pub(crate) fn unconfirmed(&mut self) -> usize {
        self.collect_all();
        self.settle();
        self.count
    }

    /// Returns the requests that wait, because the queue is removed.
    pub(crate) fn remove_waiting(&mut self) -> Vec<Key> {
        let mut keys = Vec::new();
        keys.extend(std::iter::from_fn(|| self.puts.pop()).map(|(key, _)| key));
        while let Some((key, wish)) = self.wishes.pop() {
            keys.extend(matches!(wish, Wish::Get(_)).then_some(key));
        }
        keys.extend(std::iter::from_fn(|| self.joins.pop()).map(|(key, ())| key));
        keys.extend(self.consumers.drain().map(|(_, consumer)| consumer.key));
        keys.extend(self.producers.drain().map(|(_, producer)| producer.key));
        keys
    }
}
