//! [`Line`], the requests that wait, in order.

use std::collections::{BTreeMap, HashMap};

use super::Key;

/// The requests that wait, the first one first. A request leaves from any place.
#[derive(Debug)]
pub(crate) struct Line<W> {
    waiting: BTreeMap<u64, (Key, W)>,
    places: HashMap<Key, u64>,
    next: u64,
}

impl<W> Line<W> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
        }
    }

    /// Adds a request, which does not wait yet, at the end.
    pub(crate) fn push(&mut self, key: Key, what: W) {
        self.places.insert(key, self.next);
        self.waiting.insert(self.next, (key, what));
        self.next += 1;
    }

    pub(crate) fn first(&self) -> Option<&W> {
        let first = self.waiting.first_key_value();
        first.map(|(_, (_, what))| what)
    }

    pub(crate) fn pop(&mut self) -> Option<(Key, W)> {
        let (_, (key, what)) = self.waiting.pop_first()?;
        self.places.remove(&key);
        Some((key, what))
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<W> {
        let place = self.places.remove(&key)?;
        self.waiting.remove(&place).map(|(_, what)| what)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
