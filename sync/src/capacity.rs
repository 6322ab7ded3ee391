//! [`Capacity`]: a count of free slots, and the queue of tasks that wait for one.
//!
//! It counts the room of a bounded channel, and the room and the items of a queue.
//! A slot that was taken stays taken until it is added again. The owner of the
//! `Capacity` knows what a slot stands for.
//!
//! # Invariants
//!
//! 1. While a task waits, no slot is free: `add` serves the waiters first, in their
//!    order, and a later request cannot take a slot before them.
//! 2. A slot is free, or taken, or granted to a waiter that has not collected it. A
//!    waiter that is dropped gets the number of its slots from [`Capacity::leave`],
//!    and adds them again.
//! 3. `waiting` counts the waiters without a grant.
//! 4. After `close` no waiter joins the queue, and all waiters in it have a grant.

use std::cell::Cell;
use std::mem;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task;

use crate::waiters::{Key, Waiters};

/// A count of free slots, and the queue of tasks that wait for one.
pub(crate) struct Capacity {
    free: Cell<usize>,
    closed: Cell<bool>,
    /// The number of waiters without a grant, so that adding a slot need not check an
    /// empty queue.
    waiting: Cell<usize>,
    waiters: Waiters<Grant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Slot,
    Closed,
}

/// The capacity was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// A request for several slots. Only the request at the head of the queue can hold
/// some of its slots without the rest.
#[derive(Debug, Default)]
pub(crate) struct ManyRequest {
    taken: usize,
    queued: Vec<Key>,
    /// Whether the request has joined the queue.
    joined: bool,
}

impl Capacity {
    pub(crate) const fn new(free: usize) -> Self {
        Self {
            free: Cell::new(free),
            closed: Cell::new(false),
            waiting: Cell::new(0),
            waiters: Waiters::new(),
        }
    }

    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.free.get()
    }

    /// Takes `count` slots if they are free. They are not free while a task waits
    /// (invariant 1).
    #[inline]
    pub(crate) fn try_take(&self, count: usize) -> bool {
        let left = self.free.get().checked_sub(count);
        if let Some(left) = left {
            self.free.set(left);
        }
        left.is_some()
    }

    /// Takes one slot, or waits for it in the queue under `key`.
    #[inline]
    pub(crate) fn poll_take(
        &self,
        key: &mut Option<Key>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        if key.is_none() && self.try_take(1) {
            return Poll::Ready(Ok(()));
        }
        self.poll_wait(key, cx)
    }

    fn poll_wait(&self, key: &mut Option<Key>, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        if key.is_none() {
            if self.closed.get() {
                return Poll::Ready(Err(Closed));
            }
            *key = Some(self.enqueue());
        }
        let grant = ready!(self.waiters.poll_remove(key, cx));
        Poll::Ready(match grant {
            Grant::Slot => Ok(()),
            Grant::Closed => Err(Closed),
        })
    }

    /// Joins the queue in a poll that was refused by the budget. If a slot is free it is
    /// granted at once, and a later poll returns it.
    #[cold]
    pub(crate) fn keep_place(&self, key: &mut Option<Key>) {
        if key.is_none() && !self.closed.get() && task::may_queue() {
            *key = Some(self.enqueue());
            if self.try_take(1) {
                self.grant();
            }
        }
    }

    /// Takes `count` slots. Later requests wait until this one has all of them.
    pub(crate) fn poll_take_many(
        &self,
        count: usize,
        request: &mut ManyRequest,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        if !request.joined {
            if self.closed.get() {
                return Poll::Ready(Err(Closed));
            }
            self.join_with_many(count, request);
        }
        // The last key is granted last.
        if let Some(key) = request.queued.last() {
            ready!(self.waiters.poll_granted(key, cx));
        }
        let taken = self.leave_many(request);
        if taken < count {
            // Closed. The caller adds these slots again, through `leave_many`.
            request.taken = taken;
            return Poll::Ready(Err(Closed));
        }
        Poll::Ready(Ok(()))
    }

    /// Like [`keep_place`](Self::keep_place), but for several slots.
    #[cold]
    pub(crate) fn keep_place_for_many(&self, count: usize, request: &mut ManyRequest) {
        if !request.joined && !self.closed.get() && task::may_queue() {
            self.join_with_many(count, request);
        }
    }

    fn join_with_many(&self, count: usize, request: &mut ManyRequest) {
        request.joined = true;
        request.taken = count.min(self.free.get());
        self.free.set(self.free.get() - request.taken);
        request.queued = (request.taken..count).map(|_| self.enqueue()).collect();
    }

    /// Leaves the queue. Returns the number of slots that the waiter had: 1 or 0.
    pub(crate) fn leave(&self, key: &mut Option<Key>) -> usize {
        key.take().map_or(0, |key| self.remove(key))
    }

    /// Leaves the queue. Returns the number of slots that the request had.
    pub(crate) fn leave_many(&self, request: &mut ManyRequest) -> usize {
        let mut had = mem::take(&mut request.taken);
        for key in mem::take(&mut request.queued) {
            had += self.remove(key);
        }
        had
    }

    /// Grants one slot to the first waiter, or adds it to the free slots.
    #[inline]
    pub(crate) fn add_one(&self) {
        if self.waiting.get() == 0 {
            self.free.set(self.free.get() + 1);
        } else {
            self.grant();
        }
    }

    /// Adds `count` slots.
    pub(crate) fn add(&self, count: usize) {
        let mut adding = Adding {
            capacity: self,
            count,
        };
        adding.run();
    }

    /// Fails all waiters. Slots that are free can still be taken.
    pub(crate) fn close(&self) {
        if !self.closed.replace(true) {
            self.waiting.set(0);
            self.waiters.grant_all(Grant::Closed);
        }
    }

    fn enqueue(&self) -> Key {
        self.waiting.set(self.waiting.get() + 1);
        self.waiters.enqueue()
    }

    /// Grants a slot to the waiter at the head of the queue.
    #[cold]
    fn grant(&self) {
        self.waiting.set(self.waiting.get() - 1);
        let granted = self.waiters.grant(Grant::Slot);
        debug_assert_eq!(granted, Ok(()), "there is a waiter");
    }

    fn remove(&self, key: Key) -> usize {
        if !self.waiters.is_granted(&key) {
            self.waiting.set(self.waiting.get() - 1);
        }
        usize::from(self.waiters.remove(key) == Some(Grant::Slot))
    }
}

/// Adds the remaining slots even if one of the wakers panics.
struct Adding<'a> {
    capacity: &'a Capacity,
    count: usize,
}

impl Adding<'_> {
    fn run(&mut self) {
        while self.count > 0 {
            self.count -= 1;
            self.capacity.add_one();
        }
    }
}

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        self.run();
    }
}
