//! What the events of a queue have in common: adding items, making room, and [`settle`], which
//! restores the invariants after each event.
//!
//! [`settle`]: State::settle

use std::sync::atomic::AtomicU64;

use super::{Action, Item, Limits, Size, State, Wish};
use crate::ipc::broker::state::{Client, Key};

impl<P: Clone + Size, M: AsRef<[AtomicU64]>> State<P, M> {
    pub(super) fn add(&mut self, payload: P) {
        let number = self.next_number;
        self.next_number += 1;
        self.count += 1;
        self.ready.insert(Item {
            number,
            deliveries: 0,
            payload,
        });
    }

    pub(super) fn put_back(&mut self, items: Vec<Item<P>>) {
        for item in items {
            self.ready.insert(item);
        }
    }

    pub(super) fn room(&self) -> u64 {
        let taken = (self.count as u64).saturating_add(self.reserved);
        (self.limits.capacity as u64).saturating_sub(taken)
    }

    /// Returns whether there is room for an item, and makes some if possible.
    pub(super) fn make_room(&mut self) -> bool {
        if self.room() == 0 {
            self.collect_all();
        }
        if self.room() == 0 {
            self.reclaim_credits();
        }
        self.room() > 0
    }

    pub(super) fn reclaim_credits(&mut self) {
        if self.reserved > 0 {
            for producer in self.producers.values_mut() {
                self.reserved -= producer.reclaim();
            }
        }
    }

    /// Grants credits to a producer that has few, out of the room that is left.
    pub(super) fn replenish(&mut self, client: Client) {
        if self.is_closed || !self.puts.is_empty() {
            return;
        }
        let room = self.room();
        let share = (room / self.producers.len().max(1) as u64).max(1).min(room);
        let Some(producer) = self.producers.get_mut(&client) else {
            return;
        };
        let most = self.limits.credits;
        if producer.reserved() <= most / 2 {
            let count = (most - producer.reserved()).min(share);
            self.reserved += producer.grant(count);
        }
    }

    pub(super) fn collect_all(&mut self) {
        let mut returned = Vec::new();
        for consumer in self.consumers.values_mut() {
            self.count -= consumer.collect(&mut returned);
        }
        self.put_back(returned);
    }

    /// Takes the next item for a wish, if necessary from the reserve of another consumer.
    pub(super) fn next_item(&mut self, client: Option<Client>) -> Option<Item<P>> {
        if let Some(item) = self.ready.pop() {
            return Some(item);
        }
        // A consumer may begin with an item between the two calls.
        loop {
            let others = self.consumers.iter_mut();
            let others = others.filter(|(number, _)| Some(**number) != client);
            let in_reserve = others.filter_map(|(_, consumer)| {
                let (place, number) = consumer.oldest_in_reserve()?;
                Some((number, place, consumer))
            });
            let (_, place, consumer) = in_reserve.min_by_key(|(number, _, _)| *number)?;
            let item = consumer.take_back(place);
            if item.is_some() {
                return item;
            }
        }
    }

    /// Restores invariants 3, 4, 6 and 7.
    pub(super) fn settle(&mut self) {
        self.settle_once();
        // What a consumer has confirmed before it was asked is found now. One that has reported
        // meanwhile, and so is not asked any more, has sent a notice.
        if !self.puts.is_empty() && self.ask_for_reports() {
            self.settle_once();
        }
    }

    /// Asks the consumers to report the next item that they confirm. Returns whether one of them was
    /// not asked already.
    fn ask_for_reports(&self) -> bool {
        let mut has_asked = false;
        for consumer in self.consumers.values() {
            has_asked |= consumer.ask_for_report();
        }
        has_asked
    }

    fn settle_once(&mut self) {
        let has_wish = self.ready.is_empty() && !self.wishes.is_empty();
        if has_wish || self.is_closed || !self.joins.is_empty() {
            self.collect_all();
        }
        while !self.puts.is_empty() && self.make_room() {
            if let Some((key, payload)) = self.puts.pop() {
                self.add(payload);
                self.actions.push(Action::Put(key));
                self.replenish(key.client);
            }
        }
        self.grant_wishes();
        self.fill_reserves();
        self.finish();
    }

    fn grant_wishes(&mut self) {
        while let Some(wish) = self.wishes.first().copied() {
            let client = match wish {
                Wish::Get(_) => None,
                Wish::Consumer(client) => Some(client),
            };
            let consumer = client.and_then(|client| self.consumers.get(&client));
            // A consumer without a slot sends another notice when it has confirmed something.
            let may_have =
                consumer.is_none_or(|consumer| consumer.demand() > 0 && consumer.has_slot());
            let item = match may_have {
                true => match self.next_item(client) {
                    None => return,
                    item => item,
                },
                false => None,
            };
            self.wishes.pop();
            match (wish, item) {
                (Wish::Get(key), Some(item)) => {
                    let given = self.hold(key, item);
                    self.actions.push(Action::Give(key, given));
                }
                (Wish::Consumer(client), item) => self.grant_consumer(client, item),
                (Wish::Get(_), None) => {}
            }
        }
    }

    /// Sends a consumer the item for which it has waited, and lets it wait for the next one.
    fn grant_consumer(&mut self, client: Client, item: Option<Item<P>>) {
        if let Some(item) = item {
            self.offer(client, item);
        }
        if let Some(consumer) = self.consumers.get_mut(&client) {
            consumer.is_in_line = consumer.demand() > 0 && consumer.has_slot();
            if consumer.is_in_line {
                self.wishes.push(consumer.key, Wish::Consumer(client));
            }
        }
    }

    /// Sends items to consumers that have not asked for them.
    fn fill_reserves(&mut self) {
        let Limits {
            prefetch,
            prefetch_bytes,
            ..
        } = self.limits;
        while let Some(next) = self.ready.first()
            && !next.payload.has_descriptors()
        {
            let size = next.payload.size();
            let rooms = self.consumers.iter().filter_map(|(client, consumer)| {
                let has = consumer.reserve_room(prefetch, prefetch_bytes, size)?;
                Some((has, *client))
            });
            let Some((_, client)) = rooms.min() else {
                return;
            };
            if let Some(item) = self.ready.pop() {
                self.offer(client, item);
            }
        }
    }

    /// Lets a request hold an item. Returns a copy for it.
    pub(super) fn hold(&mut self, key: Key, item: Item<P>) -> Item<P> {
        let copy = Item {
            number: item.number,
            deliveries: item.deliveries,
            payload: item.payload.clone(),
        };
        self.held.insert(key, item);
        copy
    }

    fn offer(&mut self, client: Client, item: Item<P>) {
        let Some(consumer) = self.consumers.get_mut(&client) else {
            self.ready.insert(item);
            return;
        };
        match consumer.offer(item) {
            Ok(offer) => self.actions.push(Action::Offer(consumer.key, offer)),
            Err(item) => self.ready.insert(item),
        }
    }

    fn finish(&mut self) {
        if self.joins.is_empty() && !self.is_closed {
            return;
        }
        if self.count == 0 {
            // The items of the credits that are left are on their way.
            self.reclaim_credits();
        }
        if self.count > 0 || self.reserved > 0 {
            return;
        }
        while let Some((key, ())) = self.joins.pop() {
            self.actions.push(Action::Joined(key));
        }
        if self.is_closed {
            self.has_ended = true;
            self.report_end();
        }
    }

    fn report_end(&mut self) {
        while let Some((key, wish)) = self.wishes.pop() {
            match wish {
                Wish::Get(_) => self.actions.push(Action::End(key)),
                Wish::Consumer(client) => {
                    if let Some(consumer) = self.consumers.get_mut(&client) {
                        consumer.is_in_line = false;
                    }
                }
            }
        }
        for consumer in self.consumers.values_mut() {
            if !consumer.knows_end && !consumer.is_gone {
                consumer.knows_end = true;
                self.actions.push(Action::EndOfConsumer(consumer.key));
            }
        }
    }
}
