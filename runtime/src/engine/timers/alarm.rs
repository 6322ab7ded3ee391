//! [`Alarm`]: ends the loop's wait in the kernel when a timer is due.
//!
//! On Linux the alarm is a timerfd. It is exact, while the timeout of `epoll_wait` counts
//! milliseconds; and it makes the loop's descriptor readable, which ends the wait of
//! another loop that this one is embedded in. The timeout of `epoll_pwait2` counts
//! nanoseconds, but the kernel may extend it by the timer slack of the thread, 50 µs by
//! default, to which a timerfd is not subject. On other platforms the wait in the kernel
//! gets a timeout, which is exact with kqueue, and a program that embeds the loop has to
//! call [`Runtime::next_timer`](crate::Runtime::next_timer).

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::engine::reactor::Reactor;
use crate::engine::sys::TimerFd;

/// The alarm of a loop. Its timerfd is created when the alarm is first set.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    timer: OnceCell<TimerFd>,
    /// When the timerfd expires or has expired, on the loop's clock.
    set_for: Cell<Option<u64>>,
}

impl Alarm {
    /// Makes the reactor's wait end at `deadline`, or earlier. Returns the timeout that
    /// the wait needs for that, or `None` if the timerfd ends the wait.
    ///
    /// If the timerfd is set for a time before `deadline`, it is not set again. The wait
    /// then ends early, no timer is due, and the next call sets the timerfd. So a server
    /// that sets and cancels timeouts all the time seldom makes the system call.
    pub(crate) fn set(&self, reactor: &Reactor, deadline: u64, now: u64) -> Option<Duration> {
        let expires = self.set_for.get().filter(|&at| at > now);
        if expires.is_some_and(|at| at <= deadline) {
            return None;
        }
        let wait = Duration::from_nanos(deadline.saturating_sub(now).max(1));
        match self.timer(reactor).and_then(|timer| timer.set(wait)) {
            Ok(()) => {
                self.set_for.set(Some(deadline));
                None
            }
            // The platform has no timerfd, or the process has no descriptor left for one.
            // The latter is no reason to fail: a task may be sleeping until a descriptor
            // is free.
            Err(_) => Some(wait),
        }
    }

    /// Returns when the timerfd expires or has expired, if it was ever [`set`](Alarm::set).
    pub(crate) fn set_for(&self) -> Option<u64> {
        self.set_for.get()
    }

    /// Forgets for which time the timerfd is set, because the loop's clock was changed.
    /// The next call of [`set`](Alarm::set) then sets it again.
    pub(crate) fn forget(&self) {
        self.set_for.set(None);
    }

    fn timer(&self, reactor: &Reactor) -> io::Result<&TimerFd> {
        if let Some(timer) = self.timer.get() {
            return Ok(timer);
        }
        let timer = TimerFd::new()?;
        reactor.register_timer(timer.as_fd())?;
        Ok(self.timer.get_or_init(|| timer))
    }
}
