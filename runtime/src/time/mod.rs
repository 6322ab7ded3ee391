//! Timers: [`sleep`], [`timeout`], and the clock they go by.
//!
//! Deadlines are kept to the nanosecond and met to the microsecond: a timer
//! never fires early, and a sleep of 100 µs is not rounded up to a millisecond.
//! Setting and cancelling a timer takes the same short time however many there
//! are.

mod alarm;
mod clock;
mod instant;
mod sleep;
mod timeout;
mod wheel;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::task::{Context, Poll, Waker};

pub use instant::Instant;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

pub(crate) use alarm::Alarm;
pub(crate) use wheel::Key;

use self::clock::Clock;
use self::wheel::{Look, Wheel};
use crate::panics;

/// The timers of a loop.
///
/// **Invariant:** the wheel is not borrowed while a waker is woken, cloned or
/// dropped.
pub(crate) struct Timers {
    clock: Clock,
    wheel: RefCell<Wheel>,
    /// Kept for its memory.
    due: Cell<Vec<Waker>>,
}

impl Timers {
    pub(crate) fn new(paused: bool) -> Timers {
        Timers {
            clock: Clock::new(paused),
            wheel: RefCell::new(Wheel::new()),
            due: Cell::new(Vec::new()),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Nanoseconds on the loop's clock.
    pub(crate) fn nanos(&self) -> u64 {
        self.clock.nanos()
    }

    /// Whether the clock moves only when nothing else can happen.
    pub(crate) fn is_paused(&self) -> bool {
        self.clock.is_paused()
    }

    /// When the next timer is due, on the loop's clock.
    #[inline]
    pub(crate) fn next(&self) -> Option<u64> {
        self.wheel.borrow().next()
    }

    /// Moves a paused clock on to `nanos`.
    pub(crate) fn skip_to(&self, nanos: u64) {
        self.clock.skip_to(nanos);
    }

    /// Wakes whose time has come.
    #[inline]
    pub(crate) fn fire(&self) {
        if !self.wheel.borrow().is_empty() {
            self.fire_due();
        }
    }

    fn fire_due(&self) {
        let now = self.clock.nanos();
        let mut due = self.due.take();
        self.wheel.borrow_mut().advance(now, &mut due);
        for waker in due.drain(..) {
            panics::caught(|| waker.wake());
        }
        self.due.set(due);
    }

    pub(crate) fn insert(&self, deadline: Instant, context: &Context<'_>) -> Key {
        let waker = context.waker().clone();
        let deadline = self.clock.nanos_at(deadline);
        self.wheel.borrow_mut().insert(deadline, waker)
    }

    fn poll(&self, key: Key, context: &Context<'_>) -> Poll<()> {
        let look = self.wheel.borrow().look(key, context.waker());
        match look {
            Look::Fired => return Poll::Ready(()),
            Look::Waiting => {}
            Look::Foreign => {
                let waker = context.waker().clone();
                let before = self.wheel.borrow_mut().set_waker(key, waker);
                drop(before);
                // A waker is others' code, which may have turned the loop.
                if self.wheel.borrow().look(key, context.waker()) == Look::Fired {
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }

    fn remove(&self, key: Key) {
        let waker = self.wheel.borrow_mut().remove(key);
        drop(waker);
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
