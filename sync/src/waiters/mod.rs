//! The wait queue under every primitive of this crate.
//!
//! A waiter is a node in a doubly linked list whose links are slab indices, so
//! to enqueue, to grant and to remove take constant time.
//!
//! ```text
//!            1                2
//!  enqueue ─────▶ Waiting ─────────▶ Granted(grant)
//!                    │ 3                  │ 4
//!                    ▼                    ▼
//!                  None              Some(grant)
//! ```
//!
//! 1. `Waiters::enqueue` puts the waiter at the tail and returns its key.
//! 2. `Waiters::grant` or `grant_all` reaches it: it leaves the list, keeps
//!    the grant, and is woken; `poll_granted` is ready from here on.
//! 3. `Waiters::remove` gives the key up before that: nothing to pass on.
//! 4. `Waiters::remove` gives the key up after that: the waiter takes its
//!    grant, or, if it is being dropped, passes it on.
//!
//! # Invariants
//!
//! 1. A node is linked exactly while it is `Waiting`, in the order of
//!    `enqueue`: the head is granted first.
//! 2. A grant is in exactly one place: the granter's hand, a node, or the
//!    waiter's hand. Nothing here drops one.
//! 3. A node is freed by `remove` and nothing else, which takes its one key.
//! 4. Nothing is borrowed while a waker is cloned, woken or dropped: that is
//!    foreign code and may come back to this very queue.

use std::cell::RefCell;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::vec;

use slab::Slab;

/// A FIFO queue of waiters, each of which gets one grant `G`.
pub(crate) struct Waiters<G> {
    queue: RefCell<Queue<G>>,
}

/// A waiter's claim to its node: not `Clone`, and only `remove` takes it.
#[derive(Debug)]
pub(crate) struct Key(usize);

struct Queue<G> {
    nodes: Slab<Node<G>>,
    head: Option<usize>,
    tail: Option<usize>,
}

struct Node<G> {
    state: State<G>,
    previous: Option<usize>,
    next: Option<usize>,
}

enum State<G> {
    /// Without a waker until it is polled.
    Waiting(Option<Waker>),
    Granted(G),
}

impl<G> Waiters<G> {
    pub(crate) const fn new() -> Self {
        Self {
            queue: RefCell::new(Queue {
                nodes: Slab::new(),
                head: None,
                tail: None,
            }),
        }
    }

    /// Puts a waiter at the tail.
    pub(crate) fn enqueue(&self) -> Key {
        self.queue.borrow_mut().push()
    }

    pub(crate) fn is_granted(&self, key: &Key) -> bool {
        matches!(self.queue.borrow().nodes[key.0].state, State::Granted(_))
    }

    /// Ready once there is a grant, which `remove` then returns; until then,
    /// has the waker woken by it.
    pub(crate) fn poll_granted(&self, key: &Key, cx: &Context<'_>) -> Poll<()> {
        match &self.queue.borrow().nodes[key.0].state {
            State::Granted(_) => return Poll::Ready(()),
            State::Waiting(Some(stored)) if stored.will_wake(cx.waker()) => return Poll::Pending,
            State::Waiting(_) => {}
        }
        let waker = cx.waker().clone();
        let mut queue = self.queue.borrow_mut();
        // The clone may have granted, so the state is looked at once more.
        let (poll, unused) = match &mut queue.nodes[key.0].state {
            State::Granted(_) => (Poll::Ready(()), Some(waker)),
            State::Waiting(stored) => (Poll::Pending, stored.replace(waker)),
        };
        drop(queue);
        drop(unused);
        poll
    }

    /// Grants the waiter at the head, or hands the grant back if none waits.
    pub(crate) fn grant(&self, grant: G) -> Result<(), G> {
        let mut queue = self.queue.borrow_mut();
        let Some(head) = queue.head else {
            return Err(grant);
        };
        let waker = queue.grant(head, grant);
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Grants every waiter that is in the queue now, and none that joins it
    /// while they are being woken.
    pub(crate) fn grant_all(&self, grant: G)
    where
        G: Copy,
    {
        let mut wakers = Vec::new();
        let mut queue = self.queue.borrow_mut();
        while let Some(head) = queue.head {
            wakers.extend(queue.grant(head, grant));
        }
        drop(queue);
        WakeAll(wakers.into_iter()).run();
    }

    /// Takes a waiter out, and the grant it had by then: the waiter's to use
    /// or to pass on.
    pub(crate) fn remove(&self, Key(index): Key) -> Option<G> {
        let mut queue = self.queue.borrow_mut();
        if let State::Waiting(_) = queue.nodes[index].state {
            queue.unlink(index);
        }
        let node = queue.nodes.remove(index);
        drop(queue);
        match node.state {
            State::Waiting(_) => None,
            State::Granted(grant) => Some(grant),
        }
    }
}

impl<G> Queue<G> {
    fn push(&mut self) -> Key {
        let previous = self.tail;
        let index = self.nodes.insert(Node {
            state: State::Waiting(None),
            previous,
            next: None,
        });
        match previous {
            Some(previous) => self.nodes[previous].next = Some(index),
            None => self.head = Some(index),
        }
        self.tail = Some(index);
        Key(index)
    }

    fn unlink(&mut self, index: usize) {
        let Node { previous, next, .. } = self.nodes[index];
        match previous {
            Some(previous) => self.nodes[previous].next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => self.nodes[next].previous = previous,
            None => self.tail = previous,
        }
    }

    /// Unlinks a waiting node, records the grant in it, and returns whom to
    /// wake.
    fn grant(&mut self, index: usize, grant: G) -> Option<Waker> {
        self.unlink(index);
        match mem::replace(&mut self.nodes[index].state, State::Granted(grant)) {
            State::Waiting(waker) => waker,
            State::Granted(_) => unreachable!("a linked node is waiting (invariant 1)"),
        }
    }
}

/// Wakes the rest even if one of the wakers panics: their grants are recorded
/// already, so nothing else would wake them.
struct WakeAll(vec::IntoIter<Waker>);

impl WakeAll {
    fn run(&mut self) {
        for waker in self.0.by_ref() {
            waker.wake();
        }
    }
}

impl Drop for WakeAll {
    fn drop(&mut self) {
        self.run();
    }
}

#[cfg(test)]
mod tests;
