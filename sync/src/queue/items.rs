//! [`Items`]: the items of a queue, in the order in which the queue returns them.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::mem;

use crate::buffer::Buffer;

pub(super) enum Items<T> {
    FirstInFirstOut(VecDeque<T>),
    LastInFirstOut(Vec<T>),
    SmallestFirst(Heap<T>),
}

/// A heap that requires `T: Ord` only where it is created: it keeps pointers to the functions
/// that compare.
pub(super) struct Heap<T> {
    entries: BinaryHeap<Entry<T>>,
    /// The number of items that were ever pushed, which orders equal items.
    pushed: u64,
    push: fn(&mut BinaryHeap<Entry<T>>, Entry<T>),
    pop: fn(&mut BinaryHeap<Entry<T>>) -> Option<Entry<T>>,
}

struct Entry<T> {
    item: T,
    number: u64,
}

impl<T> Items<T> {
    pub(super) fn first_in_first_out() -> Self {
        Self::FirstInFirstOut(VecDeque::new())
    }

    pub(super) fn last_in_first_out() -> Self {
        Self::LastInFirstOut(Vec::new())
    }

    pub(super) fn smallest_first() -> Self
    where
        T: Ord,
    {
        Self::SmallestFirst(Heap {
            entries: BinaryHeap::new(),
            pushed: 0,
            push: BinaryHeap::push,
            pop: BinaryHeap::pop,
        })
    }

    pub(super) fn push(&mut self, item: T) {
        match self {
            Self::FirstInFirstOut(items) => items.push_back(item),
            Self::LastInFirstOut(items) => items.push(item),
            Self::SmallestFirst(heap) => {
                let number = heap.pushed;
                heap.pushed += 1;
                (heap.push)(&mut heap.entries, Entry { item, number });
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        match self {
            Self::FirstInFirstOut(items) => {
                let item = items.pop_front();
                items.trim();
                item
            }
            Self::LastInFirstOut(items) => {
                let item = items.pop();
                items.trim();
                item
            }
            Self::SmallestFirst(heap) => {
                let entry = (heap.pop)(&mut heap.entries);
                heap.entries.trim();
                entry.map(|entry| entry.item)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::FirstInFirstOut(items) => items.len(),
            Self::LastInFirstOut(items) => items.len(),
            Self::SmallestFirst(heap) => heap.entries.len(),
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<T> {
        match self {
            Self::FirstInFirstOut(items) => mem::take(items).into(),
            Self::LastInFirstOut(items) => mem::take(items).into_iter().rev().collect(),
            Self::SmallestFirst(heap) => {
                let items = heap.entries.drain().map(|entry| entry.item).collect();
                heap.entries.trim();
                items
            }
        }
    }
}

/// The greatest entry, which a heap returns first, has the smallest item, and among equal
/// items the one that was pushed first.
impl<T: Ord> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let smaller_first = other.item.cmp(&self.item);
        smaller_first.then_with(|| other.number.cmp(&self.number))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T: Ord> Eq for Entry<T> {}
