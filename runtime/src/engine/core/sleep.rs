//! [`Sleep`]: a future that is ready at its deadline.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::task::budget;
use crate::engine::timers::clock::{NEVER, after, nanos};
use crate::engine::timers::instant::Instant;
use crate::engine::timers::wheel::Key;

/// The future of [`sleep`](crate::time::sleep) and
/// [`sleep_until`](crate::time::sleep_until).
///
/// It uses the clock of the runtime that it was created in, whatever executor polls it,
/// and can be moved between polls. That runtime wakes the task that awaits it. If the
/// runtime has been dropped, or is [not
/// driven](crate::Runtime#several-runtimes-on-one-thread), the task is not woken, but a
/// poll after the deadline is ready.
///
/// # Examples
///
/// A limit on the time between two messages, without a new timer for each:
///
/// ```
/// use coreloop::time::{Instant, sleep};
/// use std::pin::pin;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// let limit = Duration::from_millis(2);
/// let mut idle = pin!(sleep(limit));
/// for _message in 0..3 {
///     idle.as_mut().reset(Instant::now() + limit);
/// }
/// idle.await;
/// # })
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    pub(crate) event_loop: Rc<EventLoop>,
    /// In nanoseconds on the clock of the loop.
    pub(crate) deadline: u64,
    pub(crate) state: State,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    /// No timer is set, and the sleep was not polled.
    New,
    /// No timer is set, and the sleep was reset to its deadline.
    Reset,
    /// A timer is set, or has fired and was not removed yet.
    Waiting(Key),
    /// No timer is set, and the sleep has completed.
    Elapsed,
}

impl Sleep {
    /// Creates a sleep on `event_loop`, for a time limit: there is no limit if
    /// `duration` is out of the clock's range.
    #[inline]
    pub(crate) fn on(event_loop: Rc<EventLoop>, duration: Duration) -> Self {
        let deadline = event_loop
            .timers
            .read_clock()
            .saturating_add(nanos(duration));
        Self::new(event_loop, deadline)
    }

    /// Like [`sleep`](crate::time::sleep), on `event_loop`.
    #[inline]
    pub(crate) fn after(event_loop: Rc<EventLoop>, duration: Duration) -> Self {
        let deadline = after(event_loop.timers.read_clock(), nanos(duration));
        Self::new(event_loop, deadline)
    }

    /// Like [`sleep_until`](crate::time::sleep_until), on `event_loop`.
    pub(crate) fn until(event_loop: Rc<EventLoop>, deadline: Instant) -> Self {
        let deadline = event_loop.timers.clock.nanos_at(deadline);
        Self::new(event_loop, deadline)
    }

    /// Creates a sleep until `deadline`, in nanoseconds on the clock of the loop.
    #[inline]
    fn new(event_loop: Rc<EventLoop>, deadline: u64) -> Self {
        Self {
            event_loop,
            deadline,
            state: State::New,
        }
    }

    /// Returns the deadline.
    ///
    /// If it is out of the clock's range, this is some point in time hundreds of years
    /// away.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.event_loop.timers.instant(self.deadline)
    }

    /// Returns whether the deadline has passed.
    ///
    /// As in tokio, this is false until the sleep was polled or
    /// [`reset`](Sleep::reset).
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        !matches!(self.state, State::New) && self.is_due()
    }

    /// Returns whether the deadline has passed, even if the sleep was not polled.
    pub(crate) fn is_due(&self) -> bool {
        matches!(self.state, State::Elapsed) || self.now() >= self.deadline
    }

    /// Sets another deadline, whether the old one has passed or not.
    ///
    /// A task that waits for the sleep is woken at the new deadline instead of the old
    /// one, without polling it again. If the sleep had completed, it has to be polled.
    ///
    /// This takes a pinned reference, like tokio's method. A `Sleep` is `Unpin`, so
    /// `Pin::new(&mut sleep)` makes one.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::time::{Instant, sleep};
    /// use std::pin::Pin;
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let start = Instant::now();
    /// let mut idle = sleep(Duration::from_secs(10));
    /// // A message has arrived: wait ten seconds from now.
    /// coreloop::time::advance(Duration::from_secs(4)).await;
    /// Pin::new(&mut idle).reset(Instant::now() + Duration::from_secs(10));
    /// idle.await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(14));
    /// # })
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let deadline = self.event_loop.timers.clock.nanos_at(deadline);
        self.get_mut().reset_nanos(deadline);
    }

    /// Like [`reset`](Sleep::reset), with nanoseconds on the clock of the loop.
    pub(crate) fn reset_nanos(&mut self, deadline: u64) {
        if let State::Waiting(key) = self.state
            && deadline != NEVER
            && self.event_loop.timers.reset(key, deadline)
        {
            self.deadline = deadline;
            if !self.event_loop.is_running() {
                self.event_loop.set_alarm_outside();
            }
        } else {
            self.rewind(deadline);
            self.state = State::Reset;
        }
    }

    /// Returns the deadline in nanoseconds on the clock of the loop.
    pub(crate) fn deadline_nanos(&self) -> u64 {
        self.deadline
    }

    /// Reads the clock of the loop. Returns its time in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.event_loop.timers.read_clock()
    }

    /// Sets another deadline. No task is woken for it before the sleep is polled.
    pub(crate) fn rewind(&mut self, deadline: u64) {
        self.cancel();
        self.state = State::New;
        self.deadline = deadline;
    }

    /// Removes the timer, if there is one, and marks the sleep as elapsed.
    #[inline]
    fn cancel(&mut self) {
        if let State::Waiting(key) = std::mem::replace(&mut self.state, State::Elapsed) {
            self.event_loop.timers.remove(key, true);
        }
    }

    /// Polls the timer, or sets it. Spends no budget.
    #[inline]
    fn poll_timer(&mut self, cx: &Context<'_>) -> Poll<()> {
        let timers = &self.event_loop.timers;
        match self.state {
            State::Elapsed => return Poll::Ready(()),
            // Reading the clock here would cost as much as everything else in this
            // poll. If the deadline has passed since the last reading, the timer fires
            // in the next round.
            _ if self.deadline <= timers.clock.last_read() => {}
            State::Waiting(key) => ready!(timers.poll(key, cx)),
            State::New | State::Reset => {
                if self.deadline != NEVER {
                    self.state = State::Waiting(timers.insert(self.deadline, cx));
                }
                return Poll::Pending;
            }
        }
        self.cancel();
        Poll::Ready(())
    }

    /// Like `poll`, outside the turns of the loop: the alarm has to be armed for the
    /// timer, and the loop may have ended.
    #[cold]
    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_proceed(cx));
        if self.poll_timer(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.deadline == NEVER || self.now() < self.deadline {
            self.event_loop.set_alarm_outside();
            return Poll::Pending;
        }
        self.cancel();
        Poll::Ready(())
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.event_loop.is_running() {
            return self.poll_outside(cx);
        }
        let budget = &self.event_loop.tasks.budget;
        ready!(budget.poll_left(cx));
        budget.spend();
        self.poll_timer(cx)
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        if let State::Waiting(key) = self.state {
            self.event_loop.timers.remove(key, false);
        }
    }
}
