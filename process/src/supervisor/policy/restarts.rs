//! [`Restarts`], the policy by which workers are started again.

use std::time::Duration;

/// A policy for how often and how soon workers that died are started again.
///
/// A worker that was ready and dies is replaced at once. If that has happened to its slot
/// more than [`max_immediate`](Restarts::max_immediate) times within
/// [`period`](Restarts::period), or if the worker died before it was ready, the next start
/// waits: [`min_wait`](Restarts::min_wait) at first, then twice as long each time, up to
/// [`max_wait`](Restarts::max_wait). The actual wait is a random part of that, between half
/// and all, so that slots that fail together do not start together. Meanwhile another
/// worker serves the sockets of the slot. Once a worker has served for
/// [`stable`](Restarts::stable), earlier deaths are forgotten.
///
/// If [`max_failed_starts`](Restarts::max_failed_starts) workers in a row die before they
/// are ready, and no worker of the supervisor was ever ready,
/// [`run`](super::super::Supervisor::run) gives up and returns an error. Once a worker was
/// ready, it never gives up.
///
/// # Examples
///
/// ```
/// use coreloop::process::Restarts;
/// use std::time::Duration;
///
/// let restarts = Restarts::new().max_immediate(20).max_wait(Duration::from_secs(5));
/// # let _ = restarts;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Restarts {
    pub(super) max_immediate: u32,
    pub(super) period: Duration,
    pub(super) min_wait: Duration,
    pub(super) max_wait: Duration,
    pub(super) stable: Duration,
    pub(in crate::supervisor) max_failed_starts: u32,
}

impl Restarts {
    /// Creates the default policy: five immediate restarts in ten seconds, then waits from
    /// 100 ms to 30 s; ten seconds until a worker is stable; five failed starts.
    pub fn new() -> Self {
        Self {
            max_immediate: 5,
            period: Duration::from_secs(10),
            min_wait: Duration::from_millis(100),
            max_wait: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            max_failed_starts: 5,
        }
    }

    /// Sets the maximum number of deaths within the period that are followed by an
    /// immediate restart. With 0, every restart waits.
    pub fn max_immediate(mut self, deaths: u32) -> Self {
        self.max_immediate = deaths;
        self
    }

    /// Sets the period in which deaths are counted.
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// Sets the wait before the first delayed restart; it doubles with each further one. It is
    /// at least a millisecond.
    pub fn min_wait(mut self, wait: Duration) -> Self {
        self.min_wait = wait;
        self
    }

    /// Sets the maximum wait before a restart.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Sets how long a worker has to serve until earlier deaths are forgotten.
    pub fn stable(mut self, uptime: Duration) -> Self {
        self.stable = uptime;
        self
    }

    /// Sets how many workers in a row may die before they are ready, while no worker was
    /// ever ready.
    pub fn max_failed_starts(mut self, deaths: u32) -> Self {
        self.max_failed_starts = deaths;
        self
    }

    /// Renamed to [`max_immediate`](Restarts::max_immediate).
    #[deprecated(since = "0.1.0", note = "renamed to `max_immediate`")]
    pub fn most(self, deaths: u32) -> Self {
        self.max_immediate(deaths)
    }

    /// Renamed to [`min_wait`](Restarts::min_wait).
    #[deprecated(since = "0.1.0", note = "renamed to `min_wait`")]
    pub fn shortest(self, wait: Duration) -> Self {
        self.min_wait(wait)
    }

    /// Renamed to [`max_wait`](Restarts::max_wait).
    #[deprecated(since = "0.1.0", note = "renamed to `max_wait`")]
    pub fn longest(self, wait: Duration) -> Self {
        self.max_wait(wait)
    }

    /// Renamed to [`max_failed_starts`](Restarts::max_failed_starts).
    #[deprecated(since = "0.1.0", note = "renamed to `max_failed_starts`")]
    pub fn boots(self, deaths: u32) -> Self {
        self.max_failed_starts(deaths)
    }
}

/// Returns how many workers in a row may die before they are ready.
#[must_use]
pub fn max_failed_starts(restarts: &Restarts) -> u32 {
    restarts.max_failed_starts
}

impl Default for Restarts {
    fn default() -> Self {
        Self::new()
    }
}
