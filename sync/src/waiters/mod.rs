//! [`Waiters`]: the FIFO queue on which every primitive is built.
//!
//! A waiter is a node in a vector, linked to its neighbours by index, so that
//! joining, leaving and being granted take constant time. The queue is allocated
//! when a task first waits: until then it is a null pointer.
//!
//! ```text
//!            1                2
//!  enqueue ─────▶ Waiting ─────────▶ Granted(grant)
//!                 │  │ 3    ◀─────────  │ 4
//!                 │  ▼           5      ▼
//!                 │ None              Some(grant)
//! ```
//!
//! 1. `Waiters::enqueue` puts the waiter at the tail and returns its key.
//! 2. `Waiters::grant` or a similar function grants the waiter: it leaves the list,
//!    keeps the grant, and is woken. From now on `poll_granted` is ready.
//! 3. `Waiters::remove` before the grant: there is nothing to pass on.
//! 4. `Waiters::remove` after the grant: the waiter takes its grant, or, if it is
//!    being dropped, passes the grant on.
//! 5. `Waiters::take_over`: another waiter takes the grant, and this waiter is first
//!    in the queue again.
//!
//! # Invariants
//!
//! 1. A node is in the list `waiting` exactly while it is `Waiting`, in the
//!    order of `enqueue`: the head is granted first.
//! 2. A grant is in exactly one place: with the caller that grants it, in a node, or
//!    with the waiter that took it. This module never drops a grant.
//! 3. A node is freed only when its waiter is removed, which takes the node's one key.
//!    So the queue exists while a key exists.
//! 4. The queue is out of its cell only while no user code runs: not while a waker is
//!    cloned, woken or dropped, because a waker may call the queue again.

mod list;
mod wait_queue;
mod wakers;

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use wait_queue::{WaitQueue, WaiterState};

pub(crate) use wait_queue::{Choice, Key};
pub(crate) use wakers::Wakers;

/// A FIFO queue of waiters, each of which wants `W` and gets one grant `G`.
pub(crate) struct Waiters<G, W = ()> {
    queue: Cell<Option<Box<WaitQueue<G, W>>>>,
}

impl<G> Waiters<G> {
    /// Puts a waiter at the tail.
    #[inline]
    pub(crate) fn enqueue(&self) -> Key {
        self.enqueue_for((), None)
    }
}

impl<G, W: Copy> Waiters<G, W> {
    pub(crate) const fn new() -> Self {
        Self {
            queue: Cell::new(None),
        }
    }

    /// Puts a waiter at the tail, with what it wants and its waker.
    #[inline]
    pub(crate) fn enqueue_for(&self, want: W, waker: Option<Waker>) -> Key {
        let mut queue = self.queue.take().unwrap_or_default();
        let key = queue.push(want, waker);
        self.queue.set(Some(queue));
        key
    }

    /// Like [`enqueue_for`](Self::enqueue_for). Also returns whether a waiter that was granted
    /// and has not been removed is related to the new waiter.
    #[inline]
    pub(crate) fn enqueue_and_check(
        &self,
        want: W,
        waker: Option<Waker>,
        is_related: impl Fn(W) -> bool,
    ) -> (Key, bool) {
        let mut queue = self.queue.take().unwrap_or_default();
        let key = queue.push(want, waker);
        let found = queue.find_granted(|_, other, _| is_related(other));
        self.queue.set(Some(queue));
        (key, found.is_some())
    }

    /// Sets what a waiter wants, and checks like `enqueue_and_check`. Returns false if the
    /// waiter was granted itself.
    pub(crate) fn update_and_check(
        &self,
        key: &Key,
        want: W,
        is_related: impl Fn(W) -> bool,
    ) -> bool {
        self.with(|queue| {
            if let WaiterState::Granted(_) = queue.state(key) {
                return false;
            }
            queue.set_want(key, want);
            let found = queue.find_granted(|_, other, _| is_related(other));
            found.is_some()
        })
    }

    /// Adds a waiter that is granted already.
    #[inline]
    pub(crate) fn enqueue_granted(&self, want: W, grant: G) -> Key {
        let mut queue = self.queue.take().unwrap_or_default();
        let key = queue.push_granted(want, grant);
        self.queue.set(Some(queue));
        key
    }

    #[inline]
    pub(crate) fn is_granted(&self, key: &Key) -> bool {
        self.with(|queue| matches!(queue.state(key), WaiterState::Granted(_)))
    }

    /// Ready once there is a grant, which `remove` then returns. Until then, registers the
    /// waker.
    #[inline]
    pub(crate) fn poll_granted(&self, key: &Key, cx: &Context<'_>) -> Poll<()> {
        let known = self.with(|queue| match queue.state(key) {
            WaiterState::Waiting(Some(stored)) => {
                stored.will_wake(cx.waker()).then_some(Poll::Pending)
            }
            WaiterState::Waiting(None) => None,
            WaiterState::Granted(_) | WaiterState::Free => Some(Poll::Ready(())),
        });
        if let Some(poll) = known {
            return poll;
        }
        let waker = cx.waker().clone();
        // The clone may have granted the waiter, so the state is checked once more.
        let (poll, unused) = self.with(|queue| match queue.state(key) {
            WaiterState::Waiting(stored) => (Poll::Pending, stored.replace(waker)),
            WaiterState::Granted(_) | WaiterState::Free => (Poll::Ready(()), Some(waker)),
        });
        drop(unused);
        poll
    }

    /// Removes the waiter and returns its grant, if there is one. Until then, registers the
    /// waker.
    ///
    /// The key is `Some` before, and `None` once this was ready.
    #[inline]
    pub(crate) fn poll_remove(&self, key: &mut Option<Key>, cx: &Context<'_>) -> Poll<G> {
        if let Some(grant) = self.take_grant(key) {
            return Poll::Ready(grant);
        }
        let waiting = key.as_ref().expect("polled after it was ready");
        if self.poll_granted(waiting, cx).is_pending() {
            return Poll::Pending;
        }
        match self.take_grant(key) {
            Some(grant) => Poll::Ready(grant),
            None => unreachable!("the waiter was granted just now"),
        }
    }

    /// Removes the waiter and returns its grant, if there is one.
    #[inline]
    fn take_grant(&self, key: &mut Option<Key>) -> Option<G> {
        let mut queue = self.queue.take()?;
        let grant = queue.remove_granted(key);
        if grant.is_none() || queue.is_worth_keeping() {
            self.queue.set(Some(queue));
        }
        grant
    }

    /// Changes the grant of a waiter, if there is one.
    #[inline]
    pub(crate) fn change_grant(&self, key: &Key, change: impl FnOnce(&mut G)) {
        self.with(|queue| {
            if let WaiterState::Granted(grant) = queue.state(key) {
                change(grant);
            }
        });
    }

    /// Grants the waiter at the head, or returns the grant if there is no waiter.
    #[inline]
    pub(crate) fn grant(&self, grant: G) -> Result<(), G> {
        match self.queue.take() {
            None => Err(grant),
            Some(queue) => self.grant_in(queue, grant, WaitQueue::head),
        }
    }

    /// Grants the waiter at the tail, or returns the grant if there is no waiter.
    pub(crate) fn grant_last(&self, grant: G) -> Result<(), G> {
        match self.queue.take() {
            None => Err(grant),
            Some(queue) => self.grant_in(queue, grant, WaitQueue::tail),
        }
    }

    /// Grants every waiter that is in the queue now. A waiter that joins while they are
    /// being woken is not granted.
    pub(crate) fn grant_all(&self, grant: G)
    where
        G: Copy,
    {
        let mut wakers = Wakers::new();
        self.grant_while(&mut wakers, |_| Some(grant));
        wakers.wake();
    }

    /// Grants waiters from the head on, while `decide` returns a grant for what they want.
    /// Returns whether any waiter is left. The caller wakes them when its own state is
    /// consistent.
    ///
    /// `decide` runs no user code.
    #[inline]
    pub(crate) fn grant_while(
        &self,
        wakers: &mut Wakers,
        mut decide: impl FnMut(W) -> Option<G>,
    ) -> bool {
        let Some(mut queue) = self.queue.take() else {
            return false;
        };
        let waits = loop {
            let Some(head) = queue.head() else {
                break false;
            };
            let Some(grant) = decide(queue.want(head)) else {
                break true;
            };
            wakers.extend(queue.grant(head, grant));
        };
        self.queue.set(Some(queue));
        waits
    }

    /// Lets a waiter take over the grants of other waiters, which are then first in the queue
    /// again, and removes it from the queue. Returns the want and the former grant of each of
    /// the others.
    ///
    /// `choose` is called with the want and the grant of one granted waiter after another, the
    /// oldest grant first. Nothing is taken unless it returns `TakeLast`. It runs no user code.
    #[cold]
    pub(crate) fn take_over(
        &self,
        place: &mut Option<Key>,
        mut choose: impl FnMut(W, &mut G) -> Choice,
    ) -> Vec<(W, G)> {
        self.with(|queue| {
            let mut chosen = Vec::new();
            let last = queue.find_granted(|index, want, grant| {
                let choice = choose(want, grant);
                if choice != Choice::Skip {
                    chosen.push(index);
                }
                choice == Choice::TakeLast
            });
            match place.take_if(|_| last.is_some()) {
                Some(own) => queue.exchange(own, &chosen),
                None => Vec::new(),
            }
        })
    }

    /// Returns whether a waiter is first in the queue.
    pub(crate) fn is_first(&self, key: &Key) -> bool {
        self.with(|queue| queue.is_head(key))
    }

    /// Calls `visit` with the want and the grant of each granted waiter, up to the limit of a
    /// search. It runs no user code.
    pub(crate) fn visit_granted(&self, mut visit: impl FnMut(W, &G)) {
        if let Some(mut queue) = self.queue.take() {
            queue.find_granted(|_, want, grant| {
                visit(want, grant);
                false
            });
            self.queue.set(Some(queue));
        }
    }

    /// Takes out the wakers of the first and of the last waiter for which `is_wanted` is true.
    /// These waiters stay in the queue, and have to be polled to be woken again.
    pub(crate) fn take_wakers(&self, wakers: &mut Wakers, is_wanted: impl Fn(W) -> bool) {
        if let Some(mut queue) = self.queue.take() {
            wakers.extend(queue.take_first_waker(&is_wanted));
            wakers.extend(queue.take_last_waker(&is_wanted));
            self.queue.set(Some(queue));
        }
    }

    /// Takes out the waker of the waiter at the head, in the same way.
    pub(crate) fn take_head_waker(&self, wakers: &mut Wakers) {
        if let Some(mut queue) = self.queue.take() {
            if let Some(head) = queue.head() {
                wakers.extend(queue.take_waker_of(head));
            }
            self.queue.set(Some(queue));
        }
    }

    /// Removes a waiter. Returns its grant if it has one, for the caller to use or to pass
    /// on.
    #[inline]
    pub(crate) fn remove(&self, key: Key) -> Option<G> {
        self.withdraw(key).map_err(drop).ok()
    }

    /// Like [`remove`](Self::remove), but returns the waker of a waiter that was not granted,
    /// for a caller that has to make its state consistent before it runs user code.
    #[inline]
    pub(crate) fn withdraw(&self, key: Key) -> Result<G, Option<Waker>> {
        let mut queue = self.take();
        let state = queue.remove(key);
        if queue.is_worth_keeping() {
            self.queue.set(Some(queue));
        }
        match state {
            WaiterState::Granted(grant) => Ok(grant),
            WaiterState::Waiting(waker) => Err(waker),
            WaiterState::Free => unreachable!("a key belongs to a node in use (invariant 3)"),
        }
    }

    #[inline]
    fn grant_in(
        &self,
        mut queue: Box<WaitQueue<G, W>>,
        grant: G,
        which: impl Fn(&WaitQueue<G, W>) -> Option<u32>,
    ) -> Result<(), G> {
        let granted = match which(&queue) {
            Some(index) => Ok(queue.grant(index, grant)),
            None => Err(grant),
        };
        self.queue.set(Some(queue));
        if let Some(waker) = granted? {
            waker.wake();
        }
        Ok(())
    }

    /// Takes the queue, which exists because a key exists (invariant 3).
    #[inline]
    fn take(&self) -> Box<WaitQueue<G, W>> {
        self.queue.take().expect("a queue with a waiter is kept")
    }

    /// Calls `act`, which runs no user code (invariant 4).
    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut WaitQueue<G, W>) -> R) -> R {
        let mut queue = self.take();
        let result = act(&mut queue);
        self.queue.set(Some(queue));
        result
    }
}

#[cfg(test)]
mod tests;
