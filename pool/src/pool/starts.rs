//! [`Starts`], which decides when the next worker may be started.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use coreloop_process::__pool::{Backoff, max_failed_starts};
use coreloop_process::Restarts;
use coreloop_runtime::time::Instant;
use fastrand::Rng;

/// The starts and failures of the workers of a pool.
pub(crate) struct Starts {
    /// The deaths of workers that had been ready.
    deaths: RefCell<Backoff>,
    /// The failed starts since a worker became ready.
    failed_starts: RefCell<Backoff>,
    random: RefCell<Rng>,
    /// How many workers in a row did not become ready.
    failures: Cell<u32>,
    was_ever_ready: Cell<bool>,
    not_before: Cell<Option<Instant>>,
    /// Whether a task waits for the next start.
    pub(crate) is_scheduled: Cell<bool>,
    /// How many workers were started.
    pub(crate) started: Cell<u64>,
}

impl Starts {
    pub(crate) fn new() -> Self {
        Self {
            deaths: RefCell::default(),
            failed_starts: RefCell::default(),
            random: RefCell::new(Rng::new()),
            failures: Cell::new(0),
            was_ever_ready: Cell::new(false),
            not_before: Cell::new(None),
            is_scheduled: Cell::new(false),
            started: Cell::new(0),
        }
    }

    pub(crate) fn was_ever_ready(&self) -> bool {
        self.was_ever_ready.get()
    }

    /// Records that a worker has become ready. The next failed start waits only as long as the
    /// first one.
    pub(crate) fn ready(&self) {
        self.was_ever_ready.set(true);
        self.failures.set(0);
        self.failed_starts.take();
    }

    /// Counts a worker that did not become ready, or could not be started. Returns whether
    /// the waiting jobs have to fail.
    pub(crate) fn failed(&self, restarts: &Restarts) -> bool {
        self.count(&self.failed_starts, None, restarts);
        self.failures.set(self.failures.get().saturating_add(1));
        self.failures.get() >= max_failed_starts(restarts)
    }

    /// Counts a worker that has ended by itself, after it had been ready for this time.
    pub(crate) fn died(&self, served: Duration, restarts: &Restarts) {
        self.count(&self.deaths, Some(served), restarts);
    }

    fn count(&self, deaths: &RefCell<Backoff>, served: Option<Duration>, restarts: &Restarts) {
        let now = Instant::now();
        let mut random = self.random.borrow_mut();
        let wait = deaths.borrow_mut().died(served, now, restarts, &mut random);
        if !wait.is_zero() {
            self.not_before.set(Some(now + wait));
        }
    }

    /// Returns how long the next start has to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let left = self
            .not_before
            .get()?
            .saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// Otherwise the failed starts of a long time would add up.
    #[test]
    fn a_worker_that_becomes_ready_ends_the_longer_waits_of_failed_starts() {
        let restarts = Restarts::new().min_wait(HOUR).max_wait(100 * HOUR);
        let starts = Starts::new();
        for _ in 0..5 {
            starts.failed(&restarts);
        }
        assert!(starts.wait().is_some_and(|wait| wait > 7 * HOUR));
        starts.ready();
        assert!(!starts.failed(&restarts));
        assert!(starts.wait().is_some_and(|wait| wait <= HOUR));
    }
}
