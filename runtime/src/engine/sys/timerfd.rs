//! [`TimerFd`]: a timer of the kernel whose end makes a descriptor readable.
//!
//! See `timerfd_create(2)`. rustix has these calls too, in a module that takes a fifth
//! of the time that all of rustix takes to compile; so they are made through libc.
//!
//! **Invariant:** the descriptor of a `TimerFd` is open, and nothing else closes it.
#![expect(
    unsafe_code,
    reason = "two calls to libc, which std and mio do not have"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// A timer on the monotonic clock, closed on exec.
#[derive(Debug)]
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    /// Makes a timer that is not set.
    ///
    /// # Errors
    ///
    /// If no descriptor is left.
    pub(crate) fn new() -> io::Result<TimerFd> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so this descriptor is new, and only this number
        // names it.
        Ok(TimerFd(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Has the timer end once, after `wait`, in place of what it was set to before. A
    /// `wait` of zero would switch it off.
    ///
    /// # Errors
    ///
    /// The kernel refuses nothing that this passes to it; an error is returned all the
    /// same.
    pub(crate) fn set(&self, wait: Duration) -> io::Result<()> {
        let value = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                // libc has deprecated the name of the type on musl, where it will change.
                tv_sec: wait.as_secs().try_into().unwrap_or(i32::MAX.into()),
                // Below a second, so always in range.
                tv_nsec: i32::try_from(wait.subsec_nanos()).unwrap_or(0).into(),
            },
        };
        let (descriptor, new) = (self.0.as_raw_fd(), &raw const value);
        // SAFETY: the descriptor is open. The kernel reads `value`, which outlives the
        // call, and a null pointer says that the old value is not asked for.
        let result = unsafe { libc::timerfd_settime(descriptor, 0, new, ptr::null_mut()) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl AsFd for TimerFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{FdFlags, fcntl_getfd};

    use super::TimerFd;

    /// Whether the timer ends within `limit`.
    fn ends(timer: &TimerFd, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).expect("a short time");
        let ready = poll(&mut [PollFd::new(timer, PollFlags::IN)], Some(&limit));
        ready.expect("poll") == 1
    }

    #[test]
    fn a_timer_ends_once_and_never_early() {
        let timer = TimerFd::new().expect("a descriptor");
        assert!(!ends(&timer, Duration::ZERO), "it is not set");
        for wait in [Duration::from_nanos(1), Duration::from_micros(300)] {
            let start = Instant::now();
            timer.set(wait).expect("a timer");
            assert!(ends(&timer, Duration::from_secs(30)));
            assert!(start.elapsed() >= wait);
        }
        // Setting it anew takes back what it has reported.
        timer.set(Duration::MAX).expect("the longest time");
        assert!(!ends(&timer, Duration::ZERO));
    }

    #[test]
    fn a_timer_is_closed_on_exec() {
        let timer = TimerFd::new().expect("a descriptor");
        assert_eq!(fcntl_getfd(&timer), Ok(FdFlags::CLOEXEC));
    }
}
