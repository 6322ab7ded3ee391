//! [`TimerFd`]: a kernel timer that makes a descriptor readable when it expires.
//!
//! See `timerfd_create(2)`. The calls are made through libc: rustix has them too, but in
//! a module that takes a fifth of the time that all of rustix takes to compile.
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
    /// Creates a timer that is not set.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: the call takes numbers only.
        let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so the descriptor is open, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Sets the timer to expire once, after `wait`, whatever it was set to before. A
    /// `wait` of zero would switch the timer off.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, which it should not do with these
    /// arguments.
    pub(crate) fn set(&self, wait: Duration) -> io::Result<()> {
        let value = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                // The type is not named, because libc has deprecated its name on musl,
                // where the type will change.
                tv_sec: wait.as_secs().try_into().unwrap_or(i32::MAX.into()),
                // It is less than a second, so always in range.
                tv_nsec: i32::try_from(wait.subsec_nanos()).unwrap_or(0).into(),
            },
        };
        let (descriptor, new) = (self.0.as_raw_fd(), &raw const value);
        // SAFETY: the descriptor is open. The kernel reads `value`, which outlives the
        // call. With a null pointer the kernel does not write the old value.
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

    /// Returns whether the timer expires within `limit`.
    fn expires(timer: &TimerFd, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).expect("a short time");
        let ready = poll(&mut [PollFd::new(timer, PollFlags::IN)], Some(&limit));
        ready.expect("poll") == 1
    }

    #[test]
    fn a_timer_expires_once_and_never_early() {
        let timer = TimerFd::new().expect("a descriptor");
        assert!(!expires(&timer, Duration::ZERO), "it is not set");
        for wait in [Duration::from_nanos(1), Duration::from_micros(300)] {
            let start = Instant::now();
            timer.set(wait).expect("a timer");
            assert!(expires(&timer, Duration::from_secs(30)));
            assert!(start.elapsed() >= wait);
        }
        // Setting the timer again clears what it has reported.
        timer.set(Duration::MAX).expect("the longest time");
        assert!(!expires(&timer, Duration::ZERO));
    }

    #[test]
    fn a_timer_is_closed_on_exec() {
        let timer = TimerFd::new().expect("a descriptor");
        assert_eq!(fcntl_getfd(&timer), Ok(FdFlags::CLOEXEC));
    }
}
