//! The timers of a loop: a clock, a timer wheel, and the alarm that ends the loop's wait.

pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod instant;
pub(crate) mod limit;
pub(crate) mod sleep;
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod timerfd;
pub(crate) mod wheel;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::engine::panics::Foreign;
use crate::engine::task::scheduler::TaskSet;
use crate::engine::task::task_slot::Parked;
use crate::engine::timers::clock::{Clock, NEVER, nanos};
use crate::engine::timers::instant::Instant;
use crate::engine::timers::wheel::{Due, Key, Look, Wheel};

/// The timers of a loop, in nanoseconds on its clock.
///
/// **Invariants:** the wheel is not borrowed while a waker is woken, cloned or
/// dropped that is not ours. `quiet_until` is 0 while the clock stands still.
pub(crate) struct Timers {
    clock: Clock,
    wheel: RefCell<Wheel>,
    /// No timer is due before this, and the loop's alarm goes off then: until it
    /// does, nobody has to look at the clock, each time that the loop was woken.
    /// 0 if somebody has to. A slack that is reckoned from what the clock showed
    /// before is too long at most.
    quiet_until: Cell<u64>,
    /// Kept for its memory.
    due: Cell<Vec<Due>>,
}

impl Timers {
    pub(crate) fn new(paused: bool) -> Timers {
        Timers {
            clock: Clock::new(paused),
            wheel: RefCell::new(Wheel::new()),
            quiet_until: Cell::new(0),
            due: Cell::new(Vec::new()),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The time.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        self.clock.nanos()
    }

    /// The point in time when the clock shows `nanos`.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.clock.instant(nanos)
    }

    /// Whether the clock moves only when nothing else can happen.
    pub(crate) fn is_paused(&self) -> bool {
        self.clock.is_paused()
    }

    /// When the next timer is due, or a little before.
    pub(crate) fn next(&self) -> Option<u64> {
        self.wheel.borrow().next()
    }

    /// When a loop that sleeps should be woken for timers.
    #[inline]
    pub(crate) fn alarm(&self) -> Option<u64> {
        let wheel = self.wheel.borrow();
        if wheel.is_empty() {
            return None;
        }
        wheel.alarm()
    }

    /// Whether the alarm, which has not gone off yet, does so before any timer is
    /// due.
    #[inline]
    pub(crate) fn are_quiet(&self) -> bool {
        self.quiet_until.get() != 0
    }

    /// The alarm is set for `alarm`, on a clock that goes.
    pub(crate) fn rely_on(&self, alarm: u64) {
        let is_first = self.next().is_none_or(|next| next >= alarm);
        self.quiet_until.set(if is_first { alarm } else { 0 });
    }

    /// The alarm has gone off, or cannot be relied on any more.
    pub(crate) fn look_again(&self) {
        self.quiet_until.set(0);
    }

    /// A timer is set for `deadline`.
    #[inline]
    fn heed(&self, deadline: u64) {
        if deadline < self.quiet_until.get() {
            self.look_again();
        }
    }

    /// Moves a paused clock on to the next timer, but not further than by
    /// `limit`. False if there is no timer.
    pub(crate) fn skip_to_next(&self, limit: Option<Duration>) -> bool {
        let Some(next) = self.wheel.borrow().next_exactly() else {
            return false;
        };
        let limit = limit.map_or(NEVER, |limit| {
            self.clock.seen().saturating_add(nanos(limit))
        });
        self.clock.skip_to(next.min(limit))
    }

    /// Wakes whose time has come. `tasks` are those of the loop that runs.
    #[inline]
    pub(crate) fn fire(&self, tasks: &TaskSet) {
        if !self.are_quiet() && !self.wheel.borrow().is_empty() {
            self.fire_due(tasks);
        }
    }

    fn fire_due(&self, tasks: &TaskSet) {
        let now = self.clock.nanos();
        let mut due = self.due.take();
        self.wheel
            .borrow_mut()
            .advance(now, &mut due, |task| task.wake(tasks));
        for due in due.drain(..) {
            match due {
                Due::Task(task) => task.wake(tasks),
                Due::Other(waker) => waker.wake(),
            }
        }
        self.due.set(due);
    }

    /// Sets a timer that wakes the task of `context`.
    #[inline]
    pub(crate) fn insert(&self, deadline: u64, context: &Context<'_>) -> Key {
        self.heed(deadline);
        let now = self.clock.seen();
        let inserted = self
            .wheel
            .borrow_mut()
            .insert(deadline, now, context.waker());
        inserted.unwrap_or_else(|| self.insert_other(deadline, context.waker()))
    }

    #[cold]
    fn insert_other(&self, deadline: u64, waker: &Waker) -> Key {
        let waker = Foreign::new(waker.clone());
        let now = self.clock.seen();
        self.wheel.borrow_mut().insert_other(deadline, now, waker)
    }

    /// Ready if the timer has fired.
    #[inline]
    fn poll(&self, key: Key, context: &Context<'_>) -> Poll<()> {
        let look = self.wheel.borrow().look(key, context.waker());
        match look {
            Look::Waiting => Poll::Pending,
            Look::Fired => Poll::Ready(()),
            Look::Foreign => self.poll_anew(key, context),
        }
    }

    #[cold]
    fn poll_anew(&self, key: Key, context: &Context<'_>) -> Poll<()> {
        let task = Parked::default();
        let waiter = if task.park(context.waker()) {
            Due::Task(task)
        } else {
            Due::Other(Foreign::new(context.waker().clone()))
        };
        let before = self.wheel.borrow_mut().set_waiter(key, waiter);
        drop(before);
        // A waker is others' code, which may have turned the loop.
        match self.wheel.borrow().look(key, context.waker()) {
            Look::Fired => Poll::Ready(()),
            Look::Waiting | Look::Foreign => Poll::Pending,
        }
    }

    /// Sets the timer anew; false if it has fired.
    fn reset(&self, key: Key, deadline: u64) -> bool {
        self.heed(deadline);
        let now = self.clock.seen();
        self.wheel.borrow_mut().reset(key, deadline, now)
    }

    /// Takes a timer out. A panic of its waker's destructor comes out in a poll, where it
    /// is the panic of the task, and not in a destructor.
    fn remove(&self, key: Key, in_poll: bool) {
        let waker = self.wheel.borrow_mut().remove(key);
        if let Some(waker) = waker {
            drop_waker(waker, in_poll);
        }
    }

    /// Stops the clock; false if it stands still already.
    pub(crate) fn pause(&self) -> bool {
        self.look_again();
        self.clock.pause()
    }

    /// Sets a clock that stands still going again; false if it is going.
    pub(crate) fn resume(&self) -> bool {
        self.clock.resume()
    }

    /// Moves a paused clock on; false if it is not paused.
    ///
    /// # Panics
    ///
    /// If the clock does not reach so far.
    pub(crate) fn skip(&self, duration: Duration) -> bool {
        let to = self.clock.seen().saturating_add(nanos(duration));
        assert!(
            to != NEVER,
            "the clock cannot be moved on by {duration:?}: it reaches for some 500 years"
        );
        self.clock.skip_to(to)
    }
}

#[cold]
fn drop_waker(waker: Box<Foreign<Waker>>, may_panic: bool) {
    if may_panic {
        drop(waker.into_inner());
    } else {
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
