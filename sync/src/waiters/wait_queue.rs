//! [`WaitQueue`]: the queue that [`Waiters`](super::Waiters) points to once a task waits.
//!
//! No function here runs user code: wakers are passed by value.

use std::mem;
use std::task::Waker;

use super::list::{Linked, Links, List, NONE};

/// A waiter's key to its node. It is not `Clone`, and only removing the waiter consumes it.
#[derive(Debug)]
pub(crate) struct Key(u32);

/// Whether a search takes the grant of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Skip,
    Take,
    /// Take it, and end the search.
    TakeLast,
}

pub(super) struct WaitQueue<G, W> {
    nodes: Vec<WaiterNode<G, W>>,
    in_use: usize,
    /// The first of the free nodes, which are linked by `next`.
    free: u32,
    waiting: List,
    /// The waiters that were granted and are not removed yet, the oldest grant first.
    granted: List,
}

struct WaiterNode<G, W> {
    state: WaiterState<G>,
    want: W,
    links: Links,
}

pub(super) enum WaiterState<G> {
    Free,
    /// Without a waker until the waiter is polled.
    Waiting(Option<Waker>),
    Granted(G),
}

impl<G, W> Default for WaitQueue<G, W> {
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

impl<G, W: Copy> WaitQueue<G, W> {
    /// The maximum number of nodes that an empty queue keeps for the next waiters. After a
    /// burst of more waiters, the memory is freed when the last of them is removed.
    pub(super) const KEPT: usize = 16;

    /// The maximum number of waiters that a search visits. Few waiters have a grant and are
    /// not removed yet, except in a burst; then the waiters whose tasks do not poll them are
    /// the oldest.
    const SEARCHED: usize = 32;

    #[inline]
    pub(super) fn push(&mut self, want: W, waker: Option<Waker>) -> Key {
        let index = self.take_node(want);
        self.nodes[index as usize].state = WaiterState::Waiting(waker);
        self.waiting.push_back(&mut self.nodes, index);
        Key(index)
    }

    #[inline]
    pub(super) fn push_granted(&mut self, want: W, grant: G) -> Key {
        let index = self.take_node(want);
        self.nodes[index as usize].state = WaiterState::Granted(grant);
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

    /// Adds a free node.
    #[cold]
    fn grow(&mut self, want: W) -> u32 {
        let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        assert!(index != NONE, "more than 2^32 waiters");
        self.nodes.push(WaiterNode {
            state: WaiterState::Free,
            want,
            links: Links {
                previous: NONE,
                next: NONE,
            },
        });
        index
    }

    #[inline]
    pub(super) fn remove(&mut self, Key(index): Key) -> WaiterState<G> {
        let state = mem::replace(&mut self.nodes[index as usize].state, WaiterState::Free);
        let list = match state {
            WaiterState::Granted(_) => &mut self.granted,
            WaiterState::Waiting(_) | WaiterState::Free => &mut self.waiting,
        };
        list.unlink(&mut self.nodes, index);
        self.set_free(index);
        state
    }

    /// Removes a waiter if it was granted, and takes its key.
    #[inline]
    pub(super) fn remove_granted(&mut self, key: &mut Option<Key>) -> Option<G> {
        let index = key.as_ref()?.0;
        let state = &mut self.nodes[index as usize].state;
        let WaiterState::Granted(_) = state else {
            return None;
        };
        let WaiterState::Granted(grant) = mem::replace(state, WaiterState::Free) else {
            unreachable!("the state was checked above");
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
    pub(super) fn state(&mut self, key: &Key) -> &mut WaiterState<G> {
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

    /// Records the grant of a waiting node, and returns its waker.
    #[inline]
    pub(super) fn grant(&mut self, index: u32, grant: G) -> Option<Waker> {
        self.waiting.unlink(&mut self.nodes, index);
        self.granted.push_back(&mut self.nodes, index);
        match mem::replace(
            &mut self.nodes[index as usize].state,
            WaiterState::Granted(grant),
        ) {
            WaiterState::Waiting(waker) => waker,
            WaiterState::Granted(_) | WaiterState::Free => {
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
            if let WaiterState::Granted(grant) = &mut node.state
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
            WaiterState::Waiting(waker) => waker.take(),
            WaiterState::Granted(_) | WaiterState::Free => None,
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
            if let WaiterState::Waiting(waker @ Some(_)) = &mut node.state
                && is_wanted(node.want)
            {
                return waker.take();
            }
            index = next(node.links);
        }
        None
    }

    /// Removes a waiting node, and puts the nodes `others`, which were granted, first in the
    /// queue, in their order. The first of them gets the waker of the removed node.
    pub(super) fn exchange(&mut self, own: Key, others: &[u32]) -> Vec<(W, G)> {
        let WaiterState::Waiting(mut waker) = self.remove(own) else {
            unreachable!("only a waiting node takes over");
        };
        let recall = |(at, &index): (usize, &u32)| {
            let waker = if at == 0 { waker.take() } else { None };
            (self.want(index), self.recall(index, waker))
        };
        others.iter().enumerate().rev().map(recall).collect()
    }

    /// Takes the grant of a node back, and puts the node first in the queue.
    fn recall(&mut self, index: u32, waker: Option<Waker>) -> G {
        self.granted.unlink(&mut self.nodes, index);
        self.waiting.push_front(&mut self.nodes, index);
        let state = &mut self.nodes[index as usize].state;
        match mem::replace(state, WaiterState::Waiting(waker)) {
            WaiterState::Granted(grant) => grant,
            WaiterState::Waiting(_) | WaiterState::Free => {
                unreachable!("a node in this list is granted")
            }
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

impl<G, W> Linked for WaiterNode<G, W> {
    #[inline]
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}
