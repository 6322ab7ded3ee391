//! [`WaiterSet`]: waiters that are all notified at once.
//!
//! The receivers of a channel wait here if each value is for all of them. A waiter is
//! granted nothing, so no state of a waiter survives a notification: each notification
//! begins a new round, and a waiter with a key of an older round has been notified.
//!
//! # Invariants
//!
//! 1. A [`SetKey`] belongs to a waker in `waiting` exactly if it is of the current round.
//! 2. Nothing is borrowed while a waker is cloned, woken or dropped.
//! 3. Neither `spare`, nor `waiting` when it is empty, has room for more than `KEPT` wakers.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::buffer::kept_items;
use crate::wake_all::wake_all;

/// The number of wakers for which memory is kept when no receiver waits. An entry of the
/// slab is one word larger than a waker.
const KEPT: usize = kept_items(size_of::<Waker>() + size_of::<usize>()) / 2;

/// The wakers of all waiters. They are woken in the order in which they were added, unless
/// one was removed in between.
pub(crate) struct WaiterSet {
    round: Cell<u64>,
    waiting: RefCell<Slab<Waker>>,
    /// An empty slab, kept for its memory.
    spare: Cell<Slab<Waker>>,
}

/// A waiter's key to its waker, for one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetKey {
    round: u64,
    index: usize,
}

impl WaiterSet {
    pub(crate) const fn new() -> Self {
        Self {
            round: Cell::new(0),
            waiting: RefCell::new(Slab::new()),
            spare: Cell::new(Slab::new()),
        }
    }

    /// Returns `Ready` if there was a notification since the waiter was added, or while it
    /// was being added: the caller checks again. Otherwise registers the waker.
    pub(crate) fn poll_notified(&self, key: &mut Option<SetKey>, cx: &Context<'_>) -> Poll<()> {
        let round = self.round.get();
        if let Some(held) = *key {
            if held.round != round {
                *key = None;
                return Poll::Ready(());
            }
            if self.waiting.borrow()[held.index].will_wake(cx.waker()) {
                return Poll::Pending;
            }
        }
        let waker = cx.waker().clone();
        // The clone may have notified all waiters.
        if self.round.get() != round {
            *key = None;
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        let before = match *key {
            Some(held) => Some(std::mem::replace(&mut waiting[held.index], waker)),
            None => {
                let index = waiting.insert(waker);
                *key = Some(SetKey { round, index });
                None
            }
        };
        drop(waiting);
        drop(before);
        Poll::Pending
    }

    /// Removes a waiter.
    pub(crate) fn remove(&self, key: &mut Option<SetKey>) {
        if let Some(held) = key.take()
            && held.round == self.round.get()
        {
            let mut waiting = self.waiting.borrow_mut();
            let waker = waiting.remove(held.index);
            if waiting.is_empty() && waiting.capacity() > KEPT {
                *waiting = Slab::new();
            }
            drop(waiting);
            drop(waker);
        }
    }

    /// Notifies all current waiters. A waiter that is added while they are being woken
    /// belongs to the next round.
    #[inline]
    pub(crate) fn notify_all(&self) {
        self.round.set(self.round.get().wrapping_add(1));
        if !self.waiting.borrow().is_empty() {
            self.wake();
        }
    }

    fn wake(&self) {
        let mut woken = self.waiting.replace(self.spare.take());
        wake_all(woken.drain());
        if woken.capacity() <= KEPT {
            self.spare.set(woken);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{self, AssertUnwindSafe};
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    thread_local! {
        static WAITERS: WaiterSet = const { WaiterSet::new() };
        static LOG: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    /// A waker that logs its number, or notifies again, or panics.
    enum TestWaker {
        Logging(usize),
        Notifying,
        Panicking,
    }

    impl Wake for TestWaker {
        fn wake(self: Arc<Self>) {
            match *self {
                Self::Logging(number) => LOG.with_borrow_mut(|log| log.push(number)),
                Self::Notifying => WAITERS.with(WaiterSet::notify_all),
                Self::Panicking => panic!("a waker that panics"),
            }
        }
    }

    fn listen(key: &mut Option<SetKey>, waker: TestWaker) -> bool {
        let waker = Waker::from(Arc::new(waker));
        WAITERS.with(|waiters| {
            let cx = Context::from_waker(&waker);
            waiters.poll_notified(key, &cx).is_ready()
        })
    }

    #[test]
    fn all_waiters_are_notified_once_in_order() {
        let mut keys = [None; 3];
        for (number, key) in keys.iter_mut().enumerate() {
            assert!(!listen(key, TestWaker::Logging(number)));
        }
        // One waiter gets another waker, and one is removed.
        assert!(!listen(&mut keys[0], TestWaker::Logging(7)));
        WAITERS.with(|it| it.remove(&mut keys[1]));
        WAITERS.with(WaiterSet::notify_all);
        WAITERS.with(WaiterSet::notify_all);
        assert_eq!(LOG.take(), [7, 2]);
        assert!(listen(&mut keys[0], TestWaker::Logging(0)));
        assert!(!listen(&mut keys[0], TestWaker::Logging(0)), "a new round");
        WAITERS.with(|it| it.remove(&mut keys[2]));
        WAITERS.with(|it| it.remove(&mut keys[0]));
        WAITERS.with(WaiterSet::notify_all);
        assert_eq!(LOG.take(), []);
    }

    #[test]
    fn a_waker_may_notify_again() {
        let mut keys = [None; 3];
        assert!(!listen(&mut keys[0], TestWaker::Notifying));
        assert!(!listen(&mut keys[1], TestWaker::Logging(1)));
        WAITERS.with(WaiterSet::notify_all);
        assert_eq!(LOG.take(), [1]);
        assert!(!listen(&mut keys[2], TestWaker::Logging(2)));
        WAITERS.with(WaiterSet::notify_all);
        assert_eq!(LOG.take(), [2]);
    }

    #[test]
    fn the_other_waiters_are_woken_if_wakers_panic() {
        let mut keys = [None; 4];
        assert!(!listen(&mut keys[0], TestWaker::Logging(0)));
        assert!(!listen(&mut keys[1], TestWaker::Panicking));
        assert!(!listen(&mut keys[2], TestWaker::Panicking));
        assert!(!listen(&mut keys[3], TestWaker::Logging(3)));
        let notify_all = AssertUnwindSafe(|| WAITERS.with(WaiterSet::notify_all));
        panic::catch_unwind(notify_all).unwrap_err();
        assert_eq!(LOG.take(), [0, 3]);
        assert!(keys.iter_mut().all(|it| listen(it, TestWaker::Panicking)));
    }
}
