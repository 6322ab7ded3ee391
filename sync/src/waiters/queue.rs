//! What a [`Waiters`](super::Waiters) points to once somebody waits. Nothing
//! here runs foreign code: wakers come and go by value.

use std::mem;
use std::task::Waker;

use super::list::{Linked, Links, List, NONE};

/// A waiter's claim to its node: not `Clone`, and only `remove` takes it.
#[derive(Debug)]
pub(crate) struct Key(u32);

/// What a search does about the grant of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Leave,
    Take,
    TakeAsLast,
}

pub(super) struct Queue<G, W> {
    nodes: Vec<Node<G, W>>,
    in_use: usize,
    /// The first of the free nodes, which are linked by `next`.
    free: u32,
    waiting: List,
    /// Those that were granted and are not removed yet, oldest first.
    granted: List,
}

struct Node<G, W> {
    state: State<G>,
    want: W,
    links: Links,
}

pub(super) enum State<G> {
    Free,
    /// Without a waker until it is polled.
    Waiting(Option<Waker>),
    Granted(G),
}

impl<G, W> Default for Queue<G, W> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            in_use: 0,
            free: NONE,
            waiting: List::new(),
            granted: List::new(),
        }
    }
}

impl<G, W: Copy> Queue<G, W> {
    /// So many nodes are kept for the next who wait; after a burst of more,
    /// the memory is given back when the last of them has gone.
    pub(super) const KEPT: usize = 16;

    /// How many waiters a search visits. Waiters that were granted and are not yet
    /// removed are few, except in a burst; then the oldest are the ones whose tasks do
    /// not poll them.
    const SEARCHED: usize = 32;

    #[inline]
    pub(super) fn push(&mut self, want: W, waker: Option<Waker>) -> Key {
        let index = self.take_node(want);
        self.nodes[index as usize].state = State::Waiting(waker);
        self.waiting.push_back(&mut self.nodes, index);
        Key(index)
    }

    #[inline]
    pub(super) fn push_granted(&mut self, want: W, grant: G) -> Key {
        let index = self.take_node(want);
        self.nodes[index as usize].state = State::Granted(grant);
        self.granted.push_back(&mut self.nodes, index);
        Key(index)
    }

    /// Takes a free node into use. The caller sets its state and puts it in a list.
    #[inline]
    fn take_node(&mut self, want: W) -> u32 {
        let index = match self.free {
            NONE => self.grow(want),
            index => index,
        };
        let node = &mut self.nodes[index as usize];
        self.free = node.links.next;
        node.want = want;
        self.in_use += 1;
        index
    }

    /// Makes a free node.
    #[cold]
    fn grow(&mut self, want: W) -> u32 {
        let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        assert!(index != NONE, "more than 2^32 waiters");
        self.nodes.push(Node {
            state: State::Free,
            want,
            links: Links {
                previous: NONE,
                next: NONE,
            },
        });
        index
    }

    #[inline]
    pub(super) fn remove(&mut self, Key(index): Key) -> State<G> {
        let state = mem::replace(&mut self.nodes[index as usize].state, State::Free);
        let list = match state {
            State::Granted(_) => &mut self.granted,
            State::Waiting(_) | State::Free => &mut self.waiting,
        };
        list.unlink(&mut self.nodes, index);
        self.set_free(index);
        state
    }

    /// Removes a node if it is granted, and takes its key.
    #[inline]
    pub(super) fn remove_granted(&mut self, key: &mut Option<Key>) -> Option<G> {
        let index = key.as_ref()?.0;
        let state = &mut self.nodes[index as usize].state;
        let State::Granted(_) = state else {
            return None;
        };
        let State::Granted(grant) = mem::replace(state, State::Free) else {
            unreachable!("it was granted a moment ago");
        };
        self.granted.unlink(&mut self.nodes, index);
        self.set_free(index);
        *key = None;
        Some(grant)
    }

    #[inline]
    fn set_free(&mut self, index: u32) {
        self.nodes[index as usize].links.next = self.free;
        self.free = index;
        self.in_use -= 1;
    }

    #[inline]
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.in_use > 0 || self.nodes.capacity() <= Self::KEPT
    }

    #[inline]
    pub(super) fn head(&self) -> Option<u32> {
        (self.waiting.head != NONE).then_some(self.waiting.head)
    }

    #[inline]
    pub(super) fn tail(&self) -> Option<u32> {
        (self.waiting.tail != NONE).then_some(self.waiting.tail)
    }

    #[inline]
    pub(super) fn state(&mut self, key: &Key) -> &mut State<G> {
        &mut self.nodes[key.0 as usize].state
    }

    pub(super) fn is_head(&self, key: &Key) -> bool {
        self.waiting.head == key.0
    }

    #[inline]
    pub(super) fn want(&self, index: u32) -> W {
        self.nodes[index as usize].want
    }

    #[inline]
    pub(super) fn set_want(&mut self, key: &Key, want: W) {
        self.nodes[key.0 as usize].want = want;
    }

    /// Records the grant in a waiting node, and returns whom to wake.
    #[inline]
    pub(super) fn grant(&mut self, index: u32, grant: G) -> Option<Waker> {
        self.waiting.unlink(&mut self.nodes, index);
        self.granted.push_back(&mut self.nodes, index);
        match mem::replace(&mut self.nodes[index as usize].state, State::Granted(grant)) {
            State::Waiting(waker) => waker,
            State::Granted(_) | State::Free => {
                unreachable!("a node in this list is waiting (invariant 1)")
            }
        }
    }

    /// Searches the granted waiters, the oldest grant first.
    #[inline]
    pub(super) fn find_granted(
        &mut self,
        mut is_wanted: impl FnMut(u32, W, &mut G) -> bool,
    ) -> Option<u32> {
        let mut index = self.granted.head;
        for _ in 0..Self::SEARCHED {
            let node = self.nodes.get_mut(index as usize)?;
            if let State::Granted(grant) = &mut node.state
                && is_wanted(index, node.want, grant)
            {
                return Some(index);
            }
            index = node.links.next;
        }
        None
    }

    pub(super) fn take_waker_of(&mut self, index: u32) -> Option<Waker> {
        match &mut self.nodes[index as usize].state {
            State::Waiting(waker) => waker.take(),
            State::Granted(_) | State::Free => None,
        }
    }

    /// Searches the waiting nodes for one with a waker, from the head.
    pub(super) fn take_first_waker(&mut self, is_wanted: impl Fn(W) -> bool) -> Option<Waker> {
        self.take_waker(self.waiting.head, is_wanted, |links| links.next)
    }

    /// Searches the waiting nodes for one with a waker, from the tail.
    pub(super) fn take_last_waker(&mut self, is_wanted: impl Fn(W) -> bool) -> Option<Waker> {
        self.take_waker(self.waiting.tail, is_wanted, |links| links.previous)
    }

    fn take_waker(
        &mut self,
        mut index: u32,
        is_wanted: impl Fn(W) -> bool,
        next: impl Fn(Links) -> u32,
    ) -> Option<Waker> {
        for _ in 0..Self::SEARCHED {
            let node = self.nodes.get_mut(index as usize)?;
            if let State::Waiting(waker @ Some(_)) = &mut node.state
                && is_wanted(node.want)
            {
                return waker.take();
            }
            index = next(node.links);
        }
        None
    }

    /// Removes a waiting node in exchange for some that were granted, which are then first in
    /// the queue, in their order. The first of them has the waker of the node.
    pub(super) fn exchange(&mut self, own: Key, others: &[u32]) -> Vec<(W, G)> {
        let State::Waiting(mut waker) = self.remove(own) else {
            unreachable!("only a node that waits takes over");
        };
        let recall = |(at, &index): (usize, &u32)| {
            let waker = if at == 0 { waker.take() } else { None };
            (self.want(index), self.recall(index, waker))
        };
        others.iter().enumerate().rev().map(recall).collect()
    }

    /// Takes the grant of a node back, which is then first in the queue.
    fn recall(&mut self, index: u32, waker: Option<Waker>) -> G {
        self.granted.unlink(&mut self.nodes, index);
        self.waiting.push_front(&mut self.nodes, index);
        let state = &mut self.nodes[index as usize].state;
        match mem::replace(state, State::Waiting(waker)) {
            State::Granted(grant) => grant,
            State::Waiting(_) | State::Free => unreachable!("a node in this list is granted"),
        }
    }

    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }
}

impl<G, W> Linked for Node<G, W> {
    #[inline]
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}
