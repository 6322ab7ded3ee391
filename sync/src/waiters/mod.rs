//! The FIFO queue under every primitive.
//!
//! A waiter is a node in a vector, linked to its neighbours by index, so that
//! joining, leaving and being granted take constant time. The queue is made
//! when somebody first waits: a primitive that nobody waits for has a null
//! pointer in its place.
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
//! 2. `Waiters::grant` and its like reach it: it leaves the list, keeps the
//!    grant, and is woken; `poll_granted` is ready from here on.
//! 3. `Waiters::remove` gives the key up before that: nothing to pass on.
//! 4. `Waiters::remove` gives the key up after that: the waiter takes its
//!    grant, or, if it is being dropped, passes it on.
//! 5. `Waiters::take_over`: another waiter takes the grant, and this one is first in the
//!    queue again.
//!
//! # Invariants
//!
//! 1. A node is in the list `waiting` exactly while it is `Waiting`, in the
//!    order of `enqueue`: the head is granted first.
//! 2. A grant is in exactly one place: the granter's hand, a node, or the
//!    waiter's hand. Nothing here drops one.
//! 3. A node is freed by `remove` and nothing else, which takes its one key.
//!    So while a key is there, so is the queue.
//! 4. The queue is out of its cell only while no foreign code runs: not while
//!    a waker is cloned, woken or dropped, for that may come back to it.

mod list;
mod queue;
mod wakers;

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use queue::{Queue, State};

pub(crate) use queue::{Choice, Key};
pub(crate) use wakers::Wakers;

/// A FIFO queue of waiters, each of which wants `W` and gets one grant `G`.
pub(crate) struct Waiters<G, W = ()> {
    queue: Cell<Option<Box<Queue<G, W>>>>,
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

    /// Puts a waiter at the tail, with what it wants and whom to wake.
    #[inline]
    pub(crate) fn enqueue_for(&self, want: W, waker: Option<Waker>) -> Key {
        let mut queue = self.queue.take().unwrap_or_default();
        let key = queue.push(want, waker);
        self.queue.set(Some(queue));
        key
    }

    /// As [`enqueue_for`](Self::enqueue_for). Also returns whether a waiter that was granted
    /// and has not been removed is related to the new one.
    #[inline]
    pub(crate) fn enqueue_beside(
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

    /// Sets what a waiter wants, and returns what `enqueue_beside` does; false if the waiter
    /// was granted itself.
    pub(crate) fn stay_beside(&self, key: &Key, want: W, is_related: impl Fn(W) -> bool) -> bool {
        self.with(|queue| {
            if let State::Granted(_) = queue.state(key) {
                return false;
            }
            queue.set_want(key, want);
            let found = queue.find_granted(|_, other, _| is_related(other));
            found.is_some()
        })
    }

    /// Adds a waiter that has its grant already.
    #[inline]
    pub(crate) fn enqueue_granted(&self, want: W, grant: G) -> Key {
        let mut queue = self.queue.take().unwrap_or_default();
        let key = queue.push_granted(want, grant);
        self.queue.set(Some(queue));
        key
    }

    #[inline]
    pub(crate) fn is_granted(&self, key: &Key) -> bool {
        self.with(|queue| matches!(queue.state(key), State::Granted(_)))
    }

    /// Ready once there is a grant, which `remove` then returns; until then,
    /// has the waker woken by it.
    #[inline]
    pub(crate) fn poll_granted(&self, key: &Key, cx: &Context<'_>) -> Poll<()> {
        let known = self.with(|queue| match queue.state(key) {
            State::Waiting(Some(stored)) => stored.will_wake(cx.waker()).then_some(Poll::Pending),
            State::Waiting(None) => None,
            State::Granted(_) | State::Free => Some(Poll::Ready(())),
        });
        if let Some(poll) = known {
            return poll;
        }
        let waker = cx.waker().clone();
        // The clone may have granted, so the state is looked at once more.
        let (poll, unused) = self.with(|queue| match queue.state(key) {
            State::Waiting(stored) => (Poll::Pending, stored.replace(waker)),
            State::Granted(_) | State::Free => (Poll::Ready(()), Some(waker)),
        });
        drop(unused);
        poll
    }

    /// Takes the grant, if there is one, and the waiter out; until then, has
    /// the waker woken by it.
    ///
    /// The key is there before, and gone once it was ready.
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
            None => unreachable!("it was granted just now"),
        }
    }

    /// Takes the grant, if there is one, and the waiter out.
    #[inline]
    fn take_grant(&self, key: &mut Option<Key>) -> Option<G> {
        let mut queue = self.queue.take()?;
        let grant = queue.remove_granted(key);
        if grant.is_none() || queue.is_worth_keeping() {
            self.queue.set(Some(queue));
        }
        grant
    }

    /// Changes what a waiter was granted, if it was.
    #[inline]
    pub(crate) fn change_grant(&self, key: &Key, change: impl FnOnce(&mut G)) {
        self.with(|queue| {
            if let State::Granted(grant) = queue.state(key) {
                change(grant);
            }
        });
    }

    /// Grants the waiter at the head, or hands the grant back if none waits.
    #[inline]
    pub(crate) fn grant(&self, grant: G) -> Result<(), G> {
        match self.queue.take() {
            None => Err(grant),
            Some(queue) => self.grant_in(queue, grant, Queue::head),
        }
    }

    /// Grants the waiter at the tail, or hands the grant back if none waits.
    pub(crate) fn grant_last(&self, grant: G) -> Result<(), G> {
        match self.queue.take() {
            None => Err(grant),
            Some(queue) => self.grant_in(queue, grant, Queue::tail),
        }
    }

    /// Grants every waiter that is in the queue now, and none that joins it
    /// while they are being woken.
    pub(crate) fn grant_all(&self, grant: G)
    where
        G: Copy,
    {
        let mut wakers = Wakers::new();
        self.grant_while(&mut wakers, |_| Some(grant));
        wakers.wake();
    }

    /// Grants waiters from the head on, for as long as `decide` gives them
    /// something for what they want, and says whether any still waits. The
    /// caller wakes them when its own state is in order.
    ///
    /// `decide` runs no foreign code.
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
    /// oldest grant first. Nothing is taken unless it returns `TakeAsLast`. It runs no foreign
    /// code.
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
                if choice != Choice::Leave {
                    chosen.push(index);
                }
                choice == Choice::TakeAsLast
            });
            match place.take_if(|_| last.is_some()) {
                Some(own) => queue.exchange(own, &chosen),
                None => Vec::new(),
            }
        })
    }

    /// Whether a waiter is first in the queue.
    pub(crate) fn is_first(&self, key: &Key) -> bool {
        self.with(|queue| queue.is_head(key))
    }

    /// Calls `visit` with the want and the grant of each granted waiter, as far as a search
    /// goes. It runs no foreign code.
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
    /// They are still in the queue, and have to be polled to be woken again.
    pub(crate) fn take_wakers(&self, wakers: &mut Wakers, is_wanted: impl Fn(W) -> bool) {
        if let Some(mut queue) = self.queue.take() {
            wakers.extend(queue.take_first_waker(&is_wanted));
            wakers.extend(queue.take_last_waker(&is_wanted));
            self.queue.set(Some(queue));
        }
    }

    /// Takes the waker of the waiter at the head out, in the same way.
    pub(crate) fn take_head_waker(&self, wakers: &mut Wakers) {
        if let Some(mut queue) = self.queue.take() {
            if let Some(head) = queue.head() {
                wakers.extend(queue.take_waker_of(head));
            }
            self.queue.set(Some(queue));
        }
    }

    /// Takes a waiter out, and the grant it had by then: the waiter's to use
    /// or to pass on.
    #[inline]
    pub(crate) fn remove(&self, key: Key) -> Option<G> {
        self.withdraw(key).map_err(drop).ok()
    }

    /// As [`remove`](Self::remove), but hands out the waker of a waiter that
    /// was not granted, for a caller that has to set things right before it
    /// runs foreign code.
    #[inline]
    pub(crate) fn withdraw(&self, key: Key) -> Result<G, Option<Waker>> {
        let mut queue = self.take();
        let state = queue.remove(key);
        if queue.is_worth_keeping() {
            self.queue.set(Some(queue));
        }
        match state {
            State::Granted(grant) => Ok(grant),
            State::Waiting(waker) => Err(waker),
            State::Free => unreachable!("a key is to a node in use (invariant 3)"),
        }
    }

    #[inline]
    fn grant_in(
        &self,
        mut queue: Box<Queue<G, W>>,
        grant: G,
        which: impl Fn(&Queue<G, W>) -> Option<u32>,
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

    /// The queue, which is there as a key is (invariant 3).
    #[inline]
    fn take(&self) -> Box<Queue<G, W>> {
        self.queue.take().expect("a queue with a waiter is kept")
    }

    /// Runs no foreign code in `act` (invariant 4).
    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut Queue<G, W>) -> R) -> R {
        let mut queue = self.take();
        let result = act(&mut queue);
        self.queue.set(Some(queue));
        result
    }
}

#[cfg(test)]
mod tests;
