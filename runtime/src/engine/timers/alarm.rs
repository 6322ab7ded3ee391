//! What ends the loop's wait when a timer is due.
//!
//! The kernel's waits count milliseconds. On Linux a timerfd is exact, and
//! makes the loop's descriptor readable for a loop that it is embedded in.
//! Elsewhere the wait itself has a timeout, exact on kqueue; a program that embeds the
//! loop has to read [`Runtime::next_timer`](crate::Runtime::next_timer).

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::engine::reactor::Reactor;
use crate::engine::sys::TimerFd;

/// A timerfd, made when the first timer is.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    timer: OnceCell<TimerFd>,
    /// When it goes off, on the loop's clock.
    set_for: Cell<Option<u64>>,
}

impl Alarm {
    /// Makes the reactor's wait end at `deadline`, or earlier. Returns the
    /// timeout to give to the wait, if it needs one.
    ///
    /// The timer is left alone if it goes off before: a server that sets
    /// and cancels timeouts all the time then seldom pays a system call.
    /// The wait ends early, finds nothing due, and the timer is set anew.
    pub(crate) fn set(&self, reactor: &Reactor, deadline: u64, now: u64) -> Option<Duration> {
        let goes_off = self.set_for.get().filter(|&at| at > now);
        if goes_off.is_some_and(|at| at <= deadline) {
            return None;
        }
        let wait = Duration::from_nanos(deadline.saturating_sub(now).max(1));
        match self.timer(reactor).and_then(|timer| timer.set(wait)) {
            Ok(()) => {
                self.set_for.set(Some(deadline));
                None
            }
            // There is no such timer, or no descriptor is left for one: a task may be
            // sleeping until one is free.
            Err(_) => Some(wait),
        }
    }

    /// When it goes off, once it has been [`set`](Alarm::set) to.
    pub(crate) fn set_for(&self) -> Option<u64> {
        self.set_for.get()
    }

    /// Has the timer set anew the next time: the loop's clock was changed.
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
