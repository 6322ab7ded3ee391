//! [`Ready`], jobs that were leased and not returned to a caller yet.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::Leased;

/// Leased jobs, which the thread of the connection adds and the loop takes.
#[derive(Debug, Default)]
pub(super) struct Ready {
    jobs: Mutex<VecDeque<(Instant, Leased)>>,
}

impl Ready {
    /// Adds jobs whose leases have begun just now.
    pub(super) fn add(&self, jobs: Vec<Leased>) {
        let now = Instant::now();
        let jobs = jobs.into_iter().map(|job| (now, job));
        self.lock().extend(jobs);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes at most `max` jobs. A job that was here for as long as its lease is left to the
    /// server, which delivers it again.
    pub(super) fn take(&self, max: usize, lease: Duration) -> Vec<Leased> {
        let mut jobs = self.lock();
        jobs.retain(|(since, _)| since.elapsed() < lease);
        let count = max.min(jobs.len());
        jobs.drain(..count).map(|(_, job)| job).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Leased)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
