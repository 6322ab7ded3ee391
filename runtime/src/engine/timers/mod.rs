//! The timers of a loop: a clock, a timer wheel, and the alarm that ends the loop's wait.

pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod instant;
pub(crate) mod wheel;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::engine::panics::Foreign;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::task_slot::TaskSlot;
use crate::engine::timers::clock::{Clock, NEVER, nanos};
use crate::engine::timers::instant::Instant;
use crate::engine::timers::wheel::{Due, Key, TimerPoll, Wheel};

/// The timers of a loop, in nanoseconds on its clock.
///
/// **Invariants:** the wheel is not borrowed while a foreign waker is woken, cloned or
/// dropped. `trusted_alarm` is 0 while the clock is paused.
pub(crate) struct Timers {
    pub(in crate::engine) clock: Clock,
    wheel: RefCell<Wheel>,
    /// The time for which the alarm is set, if no timer is due before it: until the
    /// alarm goes off, the loop need not read the clock whenever it is woken. 0 if it
    /// has to. Meanwhile the slack of a new timer is computed from an older reading of
    /// the clock, which at worst makes it too long.
    trusted_alarm: Cell<u64>,
    /// An empty vector, kept for its capacity.
    due: Cell<Vec<Due>>,
}

impl Timers {
    pub(crate) fn new(paused: bool) -> Timers {
        Timers {
            clock: Clock::new(paused),
            wheel: RefCell::new(Wheel::new()),
            trusted_alarm: Cell::new(0),
            due: Cell::new(Vec::new()),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Returns the time on the clock of the loop, in nanoseconds.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        self.clock.nanos()
    }

    /// Returns the point in time at which the clock shows `nanos`.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.clock.instant(nanos)
    }

    /// Returns whether the clock moves only when nothing else can happen.
    pub(crate) fn is_paused(&self) -> bool {
        self.clock.is_paused()
    }

    /// Returns when the next timer is due, or a little earlier.
    pub(crate) fn next(&self) -> Option<u64> {
        self.wheel.borrow().next()
    }

    /// Returns when a parked loop should be woken for timers.
    #[inline]
    pub(crate) fn alarm(&self) -> Option<u64> {
        let wheel = self.wheel.borrow();
        if wheel.is_empty() {
            return None;
        }
        wheel.alarm()
    }

    /// Returns whether the alarm is set for a time before any timer is due, and has not
    /// gone off yet.
    #[inline]
    pub(crate) fn trusts_alarm(&self) -> bool {
        self.trusted_alarm.get() != 0
    }

    /// Notes that the alarm is set for `alarm`, on a clock that is not paused.
    pub(crate) fn trust_alarm(&self, alarm: u64) {
        let is_first = self.next().is_none_or(|next| next >= alarm);
        self.trusted_alarm.set(if is_first { alarm } else { 0 });
    }

    /// Notes that the alarm has gone off, or is no longer reliable.
    pub(crate) fn distrust_alarm(&self) {
        self.trusted_alarm.set(0);
    }

    /// Notes that a timer is set for `deadline`.
    #[inline]
    fn note_deadline(&self, deadline: u64) {
        if deadline < self.trusted_alarm.get() {
            self.distrust_alarm();
        }
    }

    /// Moves a paused clock to the next timer, but by no more than `limit`. Returns
    /// false if there is no timer.
    pub(crate) fn skip_to_next(&self, limit: Option<Duration>) -> bool {
        let Some(next) = self.wheel.borrow().next_exactly() else {
            return false;
        };
        let limit = limit.map_or(NEVER, |limit| {
            self.clock.seen().saturating_add(nanos(limit))
        });
        self.clock.skip_to(next.min(limit))
    }

    /// Wakes the tasks whose timers are due. `tasks` belongs to the running loop.
    #[inline]
    pub(crate) fn fire(&self, tasks: &Scheduler) {
        if !self.trusts_alarm() && !self.wheel.borrow().is_empty() {
            self.fire_due(tasks);
        }
    }

    fn fire_due(&self, tasks: &Scheduler) {
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
    pub(crate) fn insert(&self, deadline: u64, cx: &Context<'_>) -> Key {
        self.note_deadline(deadline);
        let now = self.clock.seen();
        let inserted = self.wheel.borrow_mut().insert(deadline, now, cx.waker());
        inserted.unwrap_or_else(|| self.insert_other(deadline, cx.waker()))
    }

    #[cold]
    fn insert_other(&self, deadline: u64, waker: &Waker) -> Key {
        let waker = Foreign::new(waker.clone());
        let now = self.clock.seen();
        self.wheel.borrow_mut().insert_other(deadline, now, waker)
    }

    /// Returns `Ready` if the timer has fired.
    #[inline]
    pub(in crate::engine) fn poll(&self, key: Key, cx: &Context<'_>) -> Poll<()> {
        let look = self.wheel.borrow().look(key, cx.waker());
        match look {
            TimerPoll::Waiting => Poll::Pending,
            TimerPoll::Fired => Poll::Ready(()),
            TimerPoll::Foreign => self.poll_anew(key, cx),
        }
    }

    #[cold]
    fn poll_anew(&self, key: Key, cx: &Context<'_>) -> Poll<()> {
        let task = TaskSlot::default();
        let waiter = if task.register(cx.waker()) {
            Due::Task(task)
        } else {
            Due::Other(Foreign::new(cx.waker().clone()))
        };
        let before = self.wheel.borrow_mut().set_waiter(key, waiter);
        drop(before);
        // Cloning or dropping the waker runs user code, which may have run a turn of
        // the loop.
        match self.wheel.borrow().look(key, cx.waker()) {
            TimerPoll::Fired => Poll::Ready(()),
            TimerPoll::Waiting | TimerPoll::Foreign => Poll::Pending,
        }
    }

    /// Sets the timer to another deadline. Returns false if it has fired.
    pub(in crate::engine) fn reset(&self, key: Key, deadline: u64) -> bool {
        self.note_deadline(deadline);
        let now = self.clock.seen();
        self.wheel.borrow_mut().reset(key, deadline, now)
    }

    /// Removes a timer. If the destructor of its waker panics, the panic propagates
    /// from a poll, where it is a panic of the task, but not from a destructor.
    pub(in crate::engine) fn remove(&self, key: Key, in_poll: bool) {
        let waker = self.wheel.borrow_mut().remove(key);
        if let Some(waker) = waker {
            drop_waker(waker, in_poll);
        }
    }

    /// Pauses the clock. Returns false if it is paused already.
    pub(crate) fn pause(&self) -> bool {
        self.distrust_alarm();
        self.clock.pause()
    }

    /// Resumes a paused clock. Returns false if it is not paused.
    pub(crate) fn resume(&self) -> bool {
        self.clock.resume()
    }

    /// Moves a paused clock by `duration`. Returns false if it is not paused.
    ///
    /// # Panics
    ///
    /// Panics if the result is out of the clock's range.
    pub(crate) fn skip(&self, duration: Duration) -> bool {
        let to = self.clock.seen().saturating_add(nanos(duration));
        assert!(
            to != NEVER,
            "the clock cannot be advanced by {duration:?}: its range is some 570 years"
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
