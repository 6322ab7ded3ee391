//! The timers of a loop: a clock, a timer wheel, and the alarm that ends the loop's wait.
//!
//! # The way of a timer
//!
//! 1. `time::sleep` calls `Sleep::after` (`core/sleep.rs`), which reads the clock by
//!    [`Timers::read_clock`] and computes the deadline. No timer is set yet.
//! 2. The first `Sleep::poll` calls [`Timers::insert`]. If the deadline is before the
//!    time of the trusted alarm, `note_deadline` ends the trust: see
//!    [`Timers::trusted_alarm`].
//! 3. `Wheel::insert` (`wheel/mod.rs`) stores the task (`wheel/storage.rs`), computes the
//!    slack (`wheel/coalescing.rs`), and appends the timer to a slot (`wheel/slots.rs`).
//!    The poll returns `Pending`.
//! 4. When no task is ready, `EventLoop::arm_alarm` (`core/event_loop.rs`) passes the
//!    time of [`Timers::wake_time`] to [`Alarm::set`](alarm::Alarm::set) (`alarm.rs`),
//!    which sets the timerfd (`sys/timerfd.rs`), and calls [`Timers::trust_alarm`]. The
//!    loop parks without a timeout. Where there is no timerfd, the loop parks with the
//!    timeout that `Alarm::set` returns.
//! 5. The timerfd expires and ends the wait. `Reactor::dispatch` (`reactor/mod.rs`) finds
//!    the token `TIMER`, and `EventLoop::poll_kernel` calls [`Timers::distrust_alarm`].
//! 6. `EventLoop::poll_kernel` calls [`Timers::fire`], which reads the clock.
//!    `Wheel::advance` takes the timers that are due, and `TaskSlot::wake` schedules
//!    their tasks.
//! 7. The next `Sleep::poll` finds that the deadline has passed, frees the timer by
//!    [`Timers::remove`], and returns `Ready`.

pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod instant;
pub(crate) mod wheel;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::engine::panics::UserValue;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::task_slot::TaskSlot;
use crate::engine::timers::clock::{Clock, NEVER, nanos};
use crate::engine::timers::instant::Instant;
use crate::engine::timers::wheel::{Key, TimerPoll, TimerWaiter, Wheel};

/// The timers of a loop. All times are in nanoseconds on the loop's clock.
///
/// **Invariants:** the wheel is not borrowed while a foreign waker is woken, cloned or
/// dropped. `trusted_alarm` is 0 while the clock is paused.
pub(crate) struct Timers {
    pub(in crate::engine) clock: Clock,
    wheel: RefCell<Wheel>,
    /// Whether the loop may rely on its alarm, and until when: the time for which the
    /// alarm is set, or 0 if the loop may not.
    ///
    /// ```text
    ///              trust_alarm: the alarm is set for `t`, and no timer is due before `t`
    ///              ┌───────────────────────────────────────────────────────┐
    ///              │                                                       v
    ///   ┌──────────┴───────────────┐                         ┌─────────────────────────────┐
    ///   │ 0: not trusted           │                         │ t: trusted                  │
    ///   │ if there are timers, the │                         │ no timer is due: `fire` and │
    ///   │ clock is read: `fire`    │                         │ `arm_alarm` return at once, │
    ///   │ and `arm_alarm` need it  │                         │ without reading the clock   │
    ///   └──────────────────────────┘                         └─────────────┬───────────────┘
    ///              ^                                                       │
    ///              └───────────────────────────────────────────────────────┘
    ///              distrust_alarm: the timerfd has expired, the clock was paused, or
    ///              a timer was set that is due before `t` (note_deadline)
    /// ```
    ///
    /// In the trusted state the last reading of the clock may be old. The slack of a new
    /// timer is computed from it, and is therefore never too short, but may be too long.
    trusted_alarm: Cell<u64>,
    /// An empty vector between calls of `fire`, kept for its capacity.
    due: Cell<Vec<TimerWaiter>>,
}

impl Timers {
    pub(crate) fn new(paused: bool) -> Self {
        Self {
            clock: Clock::new(paused),
            wheel: RefCell::new(Wheel::new()),
            trusted_alarm: Cell::new(0),
            due: Cell::new(Vec::new()),
        }
    }

    /// Reads the clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Reads the clock, and remembers the reading: see [`Clock::read`].
    #[inline]
    pub(crate) fn read_clock(&self) -> u64 {
        self.clock.read()
    }

    /// Returns the point in time at which the clock shows `nanos`.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.clock.instant(nanos)
    }

    /// Returns whether the clock is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.clock.is_paused()
    }

    /// Returns the deadline of the next timer, or a slightly earlier time.
    pub(crate) fn next(&self) -> Option<u64> {
        self.wheel.borrow().next()
    }

    /// Returns when the alarm should wake a parked loop. Timers may share that wake, so
    /// it can be later than the deadline of the next timer.
    #[inline]
    pub(crate) fn wake_time(&self) -> Option<u64> {
        let wheel = self.wheel.borrow();
        if wheel.is_empty() {
            return None;
        }
        wheel.wake_time()
    }

    /// Returns whether the alarm will expire before any timer is due. While it does, the
    /// loop need not read the clock: see [`trusted_alarm`](Timers::trusted_alarm).
    #[inline]
    pub(crate) fn trusts_alarm(&self) -> bool {
        self.trusted_alarm.get() != 0
    }

    /// Trusts the alarm, which is set for `alarm`, unless a timer may be due before it. The
    /// clock must not be paused.
    pub(crate) fn trust_alarm(&self, alarm: u64) {
        let is_first = self.next().is_none_or(|next| next >= alarm);
        self.trusted_alarm.set(if is_first { alarm } else { 0 });
    }

    /// Stops trusting the alarm, because it has expired or a timer may be due before it.
    pub(crate) fn distrust_alarm(&self) {
        self.trusted_alarm.set(0);
    }

    /// Stops trusting the alarm if `deadline`, for which a timer is about to be set, is
    /// before it.
    #[inline]
    fn note_deadline(&self, deadline: u64) {
        if deadline < self.trusted_alarm.get() {
            self.distrust_alarm();
        }
    }

    /// Moves a paused clock to the deadline of the next timer, but by no more than `limit`.
    /// Returns false if there is no timer, or the clock is not paused.
    pub(crate) fn skip_to_next(&self, limit: Option<Duration>) -> bool {
        let Some(next) = self.wheel.borrow().next_exactly() else {
            return false;
        };
        let limit = limit.map_or(NEVER, |limit| {
            self.clock.last_read().saturating_add(nanos(limit))
        });
        self.clock.skip_to(next.min(limit))
    }

    /// Wakes the tasks whose timers are due. `tasks` is the scheduler of the running loop.
    #[inline]
    pub(crate) fn fire(&self, tasks: &Scheduler) {
        if !self.trusts_alarm() && !self.wheel.borrow().is_empty() {
            self.fire_due(tasks);
        }
    }

    fn fire_due(&self, tasks: &Scheduler) {
        let now = self.clock.read();
        let mut due = self.due.take();
        self.wheel
            .borrow_mut()
            .advance(now, &mut due, |task| task.wake(tasks));
        for due in due.drain(..) {
            match due {
                TimerWaiter::Task(task) => task.wake(tasks),
                TimerWaiter::Foreign(waker) => waker.wake(),
            }
        }
        self.due.set(due);
    }

    /// Sets a timer that wakes the task of `cx` at `deadline`.
    #[inline]
    pub(crate) fn insert(&self, deadline: u64, cx: &Context<'_>) -> Key {
        self.note_deadline(deadline);
        let now = self.clock.last_read();
        let inserted = self.wheel.borrow_mut().insert(deadline, now, cx.waker());
        inserted.unwrap_or_else(|| self.insert_foreign(deadline, cx.waker()))
    }

    #[cold]
    fn insert_foreign(&self, deadline: u64, waker: &Waker) -> Key {
        let waker = UserValue::new(waker.clone());
        let now = self.clock.last_read();
        self.wheel.borrow_mut().insert_foreign(deadline, now, waker)
    }

    /// Returns `Ready` if the timer has fired. Otherwise makes sure that it wakes the
    /// task of `cx`.
    #[inline]
    pub(in crate::engine) fn poll(&self, key: Key, cx: &Context<'_>) -> Poll<()> {
        let state = self.wheel.borrow().poll(key, cx.waker());
        match state {
            TimerPoll::Waiting => Poll::Pending,
            TimerPoll::Fired => Poll::Ready(()),
            TimerPoll::OtherWaiter => self.poll_by_other(key, cx),
        }
    }

    /// Polls a timer that would wake another task than the one of `cx`.
    #[cold]
    fn poll_by_other(&self, key: Key, cx: &Context<'_>) -> Poll<()> {
        let task = TaskSlot::default();
        let waiter = if task.register(cx.waker()) {
            TimerWaiter::Task(task)
        } else {
            TimerWaiter::Foreign(UserValue::new(cx.waker().clone()))
        };
        let before = self.wheel.borrow_mut().set_waiter(key, waiter);
        drop(before);
        // Cloning and dropping the wakers ran user code, which may have run a turn of the
        // loop and so have fired the timer.
        match self.wheel.borrow().poll(key, cx.waker()) {
            TimerPoll::Fired => Poll::Ready(()),
            TimerPoll::Waiting | TimerPoll::OtherWaiter => Poll::Pending,
        }
    }

    /// Moves the timer to another deadline. Returns false if the timer has fired.
    pub(in crate::engine) fn reset(&self, key: Key, deadline: u64) -> bool {
        self.note_deadline(deadline);
        let now = self.clock.last_read();
        self.wheel.borrow_mut().reset(key, deadline, now)
    }

    /// Removes a timer. If the destructor of its waker panics, the panic propagates if
    /// `in_poll`, where it is a panic of the task. Otherwise it is caught, because the
    /// caller is a destructor.
    pub(in crate::engine) fn remove(&self, key: Key, in_poll: bool) {
        let waker = self.wheel.borrow_mut().remove(key);
        if let Some(waker) = waker {
            drop_waker(waker, in_poll);
        }
    }

    /// Pauses the clock. Returns false if the clock is paused already.
    pub(crate) fn pause(&self) -> bool {
        self.distrust_alarm();
        self.clock.pause()
    }

    /// Resumes a paused clock. Returns false if the clock is not paused.
    pub(crate) fn resume(&self) -> bool {
        self.clock.resume()
    }

    /// Moves a paused clock forward by `duration`. Returns false if the clock is not
    /// paused.
    ///
    /// # Panics
    ///
    /// Panics if the resulting time is out of the clock's range.
    pub(crate) fn skip(&self, duration: Duration) -> bool {
        let to = self.clock.last_read().saturating_add(nanos(duration));
        assert!(
            to != NEVER,
            "the clock cannot be advanced by {duration:?}: its range is some 570 years"
        );
        self.clock.skip_to(to)
    }
}

#[cold]
fn drop_waker(waker: Box<UserValue<Waker>>, may_panic: bool) {
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
