//! [`Slots`]: so many of something, and who waits for one.
//!
//! What a bounded channel has free, and what a queue has free and in store.
//! Whoever takes a slot has it until it is added again; the owner of the
//! `Slots` knows what that stands for.
//!
//! # Invariants
//!
//! 1. While somebody waits, none is free: `add` serves those who wait first,
//!    in their order, and who comes later finds nothing to take before them.
//! 2. A slot is free, taken, or in the node of a waiter. A waiter that goes
//!    learns from [`Slots::leave`] how many it had, and hands them on.
//! 3. `waiting` counts the nodes without a grant.
//! 4. After `close` nobody joins the queue, and all in it have a grant.

use std::cell::Cell;
use std::mem;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task;

use crate::waiters::{Key, Waiters};

/// A count of free slots, and the queue of those who wait for one.
pub(crate) struct Slots {
    free: Cell<usize>,
    closed: Cell<bool>,
    /// How many are in the queue without a grant, so that giving a slot need
    /// not look at an empty queue.
    waiting: Cell<usize>,
    waiters: Waiters<Grant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Slot,
    Closed,
}

/// No slot will come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// Where one that takes a slot stands: nowhere yet, or in the queue.
pub(crate) type Place = Option<Key>;

/// Where one that takes many stands. It is the only one that holds some
/// without the rest, as it is then the head of the queue.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: usize,
    queued: Vec<Key>,
    /// Whether it has been polled at all.
    joined: bool,
}

impl Slots {
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

    /// Takes so many if they are free, which they are not before those who
    /// wait (invariant 1).
    #[inline]
    pub(crate) fn try_take(&self, count: usize) -> bool {
        let left = self.free.get().checked_sub(count);
        if let Some(left) = left {
            self.free.set(left);
        }
        left.is_some()
    }

    /// Takes one, or waits for it at `place`.
    #[inline]
    pub(crate) fn poll_take(
        &self,
        place: &mut Place,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        if place.is_none() && self.try_take(1) {
            return Poll::Ready(Ok(()));
        }
        self.poll_wait(place, cx)
    }

    fn poll_wait(&self, place: &mut Place, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        if place.is_none() {
            if self.closed.get() {
                return Poll::Ready(Err(Closed));
            }
            *place = Some(self.enqueue());
        }
        let grant = ready!(self.waiters.poll_remove(place, cx));
        Poll::Ready(match grant {
            Grant::Slot => Ok(()),
            Grant::Closed => Err(Closed),
        })
    }

    /// For a poll that finds no budget: takes the place at the end of the queue, with a
    /// slot if one is free, which a later poll returns.
    #[cold]
    pub(crate) fn keep_place(&self, place: &mut Place) {
        if place.is_none() && !self.closed.get() && task::may_queue() {
            *place = Some(self.enqueue());
            if self.try_take(1) {
                self.grant();
            }
        }
    }

    /// Takes `count` at once: requests that come later wait until this one has all.
    pub(crate) fn poll_take_many(
        &self,
        count: usize,
        places: &mut Places,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        if !places.joined {
            if self.closed.get() {
                return Poll::Ready(Err(Closed));
            }
            self.join_with_many(count, places);
        }
        // The last to be granted.
        if let Some(key) = places.queued.last() {
            ready!(self.waiters.poll_granted(key, cx));
        }
        let taken = self.leave_many(places);
        if taken < count {
            // Closed, and so many are to be handed on by `leave_many`.
            places.taken = taken;
            return Poll::Ready(Err(Closed));
        }
        Poll::Ready(Ok(()))
    }

    /// As [`keep_place`](Self::keep_place), for one that takes many.
    #[cold]
    pub(crate) fn keep_places(&self, count: usize, places: &mut Places) {
        if !places.joined && !self.closed.get() && task::may_queue() {
            self.join_with_many(count, places);
        }
    }

    fn join_with_many(&self, count: usize, places: &mut Places) {
        places.joined = true;
        places.taken = count.min(self.free.get());
        self.free.set(self.free.get() - places.taken);
        places.queued = (places.taken..count).map(|_| self.enqueue()).collect();
    }

    /// Gives the place up, and says whether that had a slot: 1 or 0.
    pub(crate) fn leave(&self, place: &mut Place) -> usize {
        place.take().map_or(0, |key| self.remove(key))
    }

    /// Gives the places up, and says how many slots they had.
    pub(crate) fn leave_many(&self, places: &mut Places) -> usize {
        let mut had = mem::take(&mut places.taken);
        for key in mem::take(&mut places.queued) {
            had += self.remove(key);
        }
        had
    }

    /// Gives one to whoever has waited longest, or frees it.
    #[inline]
    pub(crate) fn add_one(&self) {
        if self.waiting.get() == 0 {
            self.free.set(self.free.get() + 1);
        } else {
            self.grant();
        }
    }

    /// Does so with many.
    pub(crate) fn add(&self, count: usize) {
        let mut adding = Adding { slots: self, count };
        adding.run();
    }

    /// Who waits, waits no longer, and who comes takes what is still free.
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

    /// Gives a slot to the head of the queue.
    #[cold]
    fn grant(&self) {
        self.waiting.set(self.waiting.get() - 1);
        let granted = self.waiters.grant(Grant::Slot);
        debug_assert_eq!(granted, Ok(()), "somebody waits");
    }

    fn remove(&self, key: Key) -> usize {
        if !self.waiters.is_granted(&key) {
            self.waiting.set(self.waiting.get() - 1);
        }
        usize::from(self.waiters.remove(key) == Some(Grant::Slot))
    }
}

/// Gives the rest even if one of the wakers panics.
struct Adding<'a> {
    slots: &'a Slots,
    count: usize,
}

impl Adding<'_> {
    fn run(&mut self) {
        while self.count > 0 {
            self.count -= 1;
            self.slots.add_one();
        }
    }
}

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        self.run();
    }
}
