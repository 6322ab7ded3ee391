//! [`Listeners`]: those who wait to be told something, all at once.
//!
//! The receivers of one value for all. None of them is granted anything, so
//! nobody needs a node that outlives the telling: a round ends with each, and
//! who finds that its round is over has been told.
//!
//! # Invariants
//!
//! 1. A [`Place`] belongs to a waker in `waiting` exactly if it is of the
//!    current round.
//! 2. Nothing is borrowed while a waker is cloned, woken or dropped.
//! 3. Neither `spare`, nor `waiting` when it is empty, has room for more than `KEPT` wakers.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::room::room_for_items_of;

/// For how many wakers memory is kept when no receiver waits. A place takes a word more.
const KEPT: usize = room_for_items_of(size_of::<Waker>() + size_of::<usize>()) / 2;

/// The wakers of those who wait, which are told in the order in which they
/// came, as far as none has left.
pub(crate) struct Listeners {
    round: Cell<u64>,
    waiting: RefCell<Slab<Waker>>,
    /// Without a waker, and kept for its memory.
    spare: Cell<Slab<Waker>>,
}

/// A place among those who wait in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    round: u64,
    key: usize,
}

impl Listeners {
    pub(crate) const fn new() -> Self {
        Self {
            round: Cell::new(0),
            waiting: RefCell::new(Slab::new()),
            spare: Cell::new(Slab::new()),
        }
    }

    /// Ready if all were told since the place was taken, or while it was: look
    /// again for what there is. Until then, has the waker woken by it.
    pub(crate) fn poll_told(&self, place: &mut Option<Place>, cx: &Context<'_>) -> Poll<()> {
        let round = self.round.get();
        if let Some(taken) = *place {
            if taken.round != round {
                *place = None;
                return Poll::Ready(());
            }
            if self.waiting.borrow()[taken.key].will_wake(cx.waker()) {
                return Poll::Pending;
            }
        }
        let waker = cx.waker().clone();
        // The clone may have told.
        if self.round.get() != round {
            *place = None;
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        let before = match *place {
            Some(taken) => Some(std::mem::replace(&mut waiting[taken.key], waker)),
            None => {
                let key = waiting.insert(waker);
                *place = Some(Place { round, key });
                None
            }
        };
        drop(waiting);
        drop(before);
        Poll::Pending
    }

    /// Gives the place up.
    pub(crate) fn leave(&self, place: &mut Option<Place>) {
        if let Some(taken) = place.take()
            && taken.round == self.round.get()
        {
            let mut waiting = self.waiting.borrow_mut();
            let waker = waiting.remove(taken.key);
            if waiting.is_empty() && waiting.capacity() > KEPT {
                *waiting = Slab::new();
            }
            drop(waiting);
            drop(waker);
        }
    }

    /// Tells all who wait now, and none who comes while they are being woken.
    #[inline]
    pub(crate) fn tell(&self) {
        self.round.set(self.round.get().wrapping_add(1));
        if !self.waiting.borrow().is_empty() {
            self.wake();
        }
    }

    fn wake(&self) {
        let mut woken = self.waiting.replace(self.spare.take());
        Waking(woken.drain()).run();
        if woken.capacity() <= KEPT {
            self.spare.set(woken);
        }
    }
}

/// Wakes the rest even if one of the wakers panics.
struct Waking<'a>(slab::Drain<'a, Waker>);

impl Waking<'_> {
    fn run(&mut self) {
        for waker in self.0.by_ref() {
            waker.wake();
        }
    }
}

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        self.run();
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
        static LISTENERS: Listeners = const { Listeners::new() };
        static LOG: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes its number when it is woken, and tells anew or panics.
    enum Waking {
        Noting(usize),
        Telling,
        Panicking,
    }

    impl Wake for Waking {
        fn wake(self: Arc<Self>) {
            match *self {
                Self::Noting(number) => LOG.with_borrow_mut(|log| log.push(number)),
                Self::Telling => LISTENERS.with(Listeners::tell),
                Self::Panicking => panic!("a waker that panics"),
            }
        }
    }

    fn listen(place: &mut Option<Place>, waking: Waking) -> bool {
        let waker = Waker::from(Arc::new(waking));
        LISTENERS.with(|listeners| {
            let cx = Context::from_waker(&waker);
            listeners.poll_told(place, &cx).is_ready()
        })
    }

    #[test]
    fn all_are_told_once_in_order() {
        let mut places = [None; 3];
        for (number, place) in places.iter_mut().enumerate() {
            assert!(!listen(place, Waking::Noting(number)));
        }
        // Another waker in the same place; and one that leaves.
        assert!(!listen(&mut places[0], Waking::Noting(7)));
        LISTENERS.with(|it| it.leave(&mut places[1]));
        LISTENERS.with(Listeners::tell);
        LISTENERS.with(Listeners::tell);
        assert_eq!(LOG.take(), [7, 2]);
        assert!(listen(&mut places[0], Waking::Noting(0)));
        assert!(!listen(&mut places[0], Waking::Noting(0)), "a new round");
        LISTENERS.with(|it| it.leave(&mut places[2]));
        LISTENERS.with(|it| it.leave(&mut places[0]));
        LISTENERS.with(Listeners::tell);
        assert_eq!(LOG.take(), []);
    }

    #[test]
    fn a_waker_may_tell_anew() {
        let mut places = [None; 3];
        assert!(!listen(&mut places[0], Waking::Telling));
        assert!(!listen(&mut places[1], Waking::Noting(1)));
        LISTENERS.with(Listeners::tell);
        assert_eq!(LOG.take(), [1]);
        assert!(!listen(&mut places[2], Waking::Noting(2)));
        LISTENERS.with(Listeners::tell);
        assert_eq!(LOG.take(), [2]);
    }

    #[test]
    fn a_waker_that_panics_does_not_cost_the_others_their_wake() {
        let mut places = [None; 3];
        assert!(!listen(&mut places[0], Waking::Noting(0)));
        assert!(!listen(&mut places[1], Waking::Panicking));
        assert!(!listen(&mut places[2], Waking::Noting(2)));
        let told = AssertUnwindSafe(|| LISTENERS.with(Listeners::tell));
        panic::catch_unwind(told).unwrap_err();
        assert_eq!(LOG.take(), [0, 2]);
        assert!(places.iter_mut().all(|it| listen(it, Waking::Panicking)));
    }
}
