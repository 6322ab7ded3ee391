//! [`Ready`], jobs that were leased and not returned to a caller yet.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Function, Leased};

/// Leased jobs of one kind of call, which the thread of the connection adds and the loop takes.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) functions: Vec<Function>,
    pub(super) lease: Duration,
    /// Held while jobs are fetched or given back, so that no more are leased than there is room
    /// for.
    pub(super) fetching: tokio::sync::Mutex<()>,
    jobs: Mutex<VecDeque<Job>>,
}

#[derive(Debug)]
struct Job {
    /// When the job came here.
    since: Instant,
    leased: Leased,
}

impl Ready {
    pub(super) fn new(functions: &[Function], lease: Duration) -> Self {
        Self {
            functions: functions.to_vec(),
            lease,
            fetching: tokio::sync::Mutex::default(),
            jobs: Mutex::default(),
        }
    }

    /// Returns whether these jobs are for a call with these arguments.
    pub(super) fn is_for(&self, functions: &[Function], lease: Duration) -> bool {
        self.lease == lease && self.functions == functions
    }

    /// Adds jobs, which were leased a small part of their time before `since`.
    pub(super) fn add(&self, since: Instant, jobs: Vec<Leased>) {
        let jobs = jobs.into_iter().map(|leased| Job { since, leased });
        self.lock().extend(jobs);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes at most `max` of the fresh jobs.
    pub(super) fn take(&self, max: usize) -> Vec<Leased> {
        let mut jobs = self.lock();
        let (mut taken, mut left) = (Vec::new(), VecDeque::new());
        for job in jobs.drain(..) {
            if taken.len() < max && self.is_fresh(&job) {
                taken.push(job.leased);
            } else {
                left.push_back(job);
            }
        }
        *jobs = left;
        taken
    }

    /// Takes the jobs that are not fresh any more.
    pub(super) fn take_stale(&self) -> Vec<Leased> {
        let mut jobs = self.lock();
        let (fresh, stale): (VecDeque<_>, Vec<_>) = {
            let all = jobs.drain(..);
            let (fresh, stale): (Vec<_>, Vec<_>) = all.partition(|job| self.is_fresh(job));
            (fresh.into(), stale)
        };
        *jobs = fresh;
        stale.into_iter().map(|job| job.leased).collect()
    }

    /// Takes all jobs.
    pub(super) fn take_all(&self) -> Vec<Leased> {
        let jobs = std::mem::take(&mut *self.lock());
        jobs.into_iter().map(|job| job.leased).collect()
    }

    /// A worker renews a lease when a third of it has passed since the worker got the job. So a
    /// job that was here for longer than this could be delivered again before.
    fn is_fresh(&self, job: &Job) -> bool {
        job.since.elapsed() < self.lease / 3
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::JobId;

    fn leased(id: &str) -> Leased {
        Leased {
            id: JobId(id.to_owned()),
            function: Function {
                name: "send".to_owned(),
                version: 1,
            },
            payload: Vec::new(),
            attempt: 1,
            lease: String::new(),
        }
    }

    #[test]
    fn a_job_whose_lease_began_long_ago_is_not_handed_out() {
        let lease = Duration::from_secs(30);
        let ready = Ready::new(&[], lease);
        let now = Instant::now();
        ready.add(now - lease / 2, vec![leased("stale")]);
        ready.add(now, vec![leased("one"), leased("two")]);
        let ids = |jobs: Vec<Leased>| jobs.into_iter().map(|job| job.id.0).collect::<Vec<_>>();
        assert_eq!(ids(ready.take(1)), ["one"]);
        assert_eq!(ids(ready.take_stale()), ["stale"]);
        assert_eq!(ids(ready.take_all()), ["two"]);
        assert!(ready.is_empty());
    }
}
