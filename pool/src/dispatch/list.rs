//! [`List`], a doubly linked list of entries of a slab. The links are in the entries, so that
//! an entry is moved from one list to another without an allocation, and is removed from the
//! middle of a list in constant time.

use std::iter::successors;

use slab::Slab;

/// The neighbours of an entry in its list.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Links {
    previous: Option<usize>,
    next: Option<usize>,
}

/// An entry of a slab that is in one list at most.
pub(super) trait Linked {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// The ends of a list. Every method gets the slab that holds the entries.
#[derive(Debug, Default)]
pub(super) struct List {
    first: Option<usize>,
    last: Option<usize>,
    length: usize,
}

impl List {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn first(&self) -> Option<usize> {
        self.first
    }

    pub(super) fn last(&self) -> Option<usize> {
        self.last
    }

    pub(super) fn push_front<T: Linked>(&mut self, entries: &mut Slab<T>, index: usize) {
        self.insert_before(entries, index, self.first);
    }

    pub(super) fn push_back<T: Linked>(&mut self, entries: &mut Slab<T>, index: usize) {
        self.insert_before(entries, index, None);
    }

    /// Inserts an entry before `next`, or at the end.
    pub(super) fn insert_before<T: Linked>(
        &mut self,
        entries: &mut Slab<T>,
        index: usize,
        next: Option<usize>,
    ) {
        let previous = match next {
            Some(next) => entries[next].links_mut().previous.replace(index),
            None => self.last.replace(index),
        };
        match previous {
            Some(previous) => entries[previous].links_mut().next = Some(index),
            None => self.first = Some(index),
        }
        *entries[index].links_mut() = Links { previous, next };
        self.length += 1;
    }

    /// Removes an entry, which is in this list.
    pub(super) fn remove<T: Linked>(&mut self, entries: &mut Slab<T>, index: usize) {
        let Links { previous, next } = std::mem::take(entries[index].links_mut());
        match previous {
            Some(previous) => entries[previous].links_mut().next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => entries[next].links_mut().previous = previous,
            None => self.last = previous,
        }
        self.length -= 1;
    }

    /// Returns the entries from the first to the last.
    pub(super) fn iter<T: Linked>(&self, entries: &Slab<T>) -> impl Iterator<Item = usize> {
        successors(self.first, |&index| entries[index].links().next)
    }

    /// Returns the entries from the last to the first.
    pub(super) fn backwards<T: Linked>(&self, entries: &Slab<T>) -> impl Iterator<Item = usize> {
        successors(self.last, |&index| entries[index].links().previous)
    }
}
