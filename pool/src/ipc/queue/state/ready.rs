//! [`Ready`], the items that no consumer has, in order.

use std::collections::VecDeque;

/// An item of a queue.
#[derive(Debug)]
pub(crate) struct Item<P> {
    /// The place of the item in the order in which items came. No other item has it.
    pub(crate) number: u64,
    /// How often user code has had the item and not confirmed it.
    pub(crate) deliveries: u32,
    pub(crate) payload: P,
}

/// The items that no consumer has.
///
/// **Invariant:** the numbers of the items increase. So an item that comes back is in front of all
/// items that came after it.
#[derive(Debug)]
pub(super) struct Ready<P>(VecDeque<Item<P>>);

impl<P> Ready<P> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Puts an item in its place.
    pub(super) fn insert(&mut self, item: Item<P>) {
        match self.0.back() {
            Some(last) if last.number > item.number => {
                let at = self.0.partition_point(|other| other.number < item.number);
                self.0.insert(at, item);
            }
            _ => self.0.push_back(item),
        }
    }

    /// Returns the next item.
    pub(super) fn first(&self) -> Option<&Item<P>> {
        self.0.front()
    }

    pub(super) fn pop(&mut self) -> Option<Item<P>> {
        self.0.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
