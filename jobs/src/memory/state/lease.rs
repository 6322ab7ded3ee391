//! Leasing jobs, and what a worker does with a lease.

use std::rc::Rc;

use super::{Job, Session, Stage, State, Time};
use crate::engine::{FIELDS, Failure, Fence, Function, JobId, Leased, Outcome};

/// How long jobs are together that are leased together, unless there is only one.
const LEASE_BYTES: usize = 4 << 20;

/// How much one operation may lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtMost {
    /// The number of jobs.
    pub(crate) jobs: usize,
    /// How long the message with the jobs may be, unless it has only one.
    pub(crate) bytes: usize,
}

impl AtMost {
    /// The jobs do not leave this process.
    pub(crate) fn jobs(jobs: usize) -> Self {
        Self {
            jobs,
            bytes: usize::MAX,
        }
    }
}

/// What a worker has of a lease.
#[derive(Debug, Clone)]
pub(crate) struct LeaseName<'a> {
    pub(crate) id: &'a JobId,
    pub(crate) lease: &'a str,
}

impl<'a> From<&'a Leased> for LeaseName<'a> {
    fn from(job: &'a Leased) -> Self {
        Self {
            id: &job.id,
            lease: &job.lease,
        }
    }
}

impl State {
    /// Leases the oldest ready jobs of these functions for `time`. Several jobs are not longer
    /// than [`LEASE_BYTES`] together.
    pub(crate) fn lease(
        &mut self,
        now: Time,
        session: Session,
        functions: &[Function],
        max: AtMost,
        time: Time,
    ) -> Vec<Leased> {
        let numbers = self.ready.first(functions, max.jobs);
        let max_bytes = max.bytes.min(LEASE_BYTES);
        let mut leased = Vec::with_capacity(numbers.len());
        let mut bytes = 0;
        for number in numbers {
            let id = self.id(number);
            let length = self.jobs.get(&number).map_or(0, Job::bytes);
            bytes += length + FIELDS + id.0.len();
            if !leased.is_empty() && bytes > max_bytes {
                break;
            }
            self.last_lease += 1;
            let name = self.last_lease;
            self.hold(now, session, number, time);
            let Some(job) = self.jobs.get_mut(&number) else {
                continue;
            };
            job.lease = Some(name);
            job.attempts = job.attempts.saturating_add(1);
            leased.push(Leased {
                id,
                function: (*job.function).clone(),
                payload: job.payload.clone(),
                attempt: job.attempts,
                lease: name.to_string(),
            });
        }
        leased
    }

    /// Renews a lease for `time` from now. It belongs to this client from now on.
    pub(crate) fn renew(
        &mut self,
        now: Time,
        session: Session,
        lease: &LeaseName<'_>,
        time: Time,
    ) -> Fence {
        let number = match self.check(lease) {
            Ok(number) => number,
            Err(fence) => return fence,
        };
        self.hold(now, session, number, time);
        Fence::Held
    }

    /// Stores the result of a job, and removes the job. Returns the number of the job too, if it
    /// has ended now.
    pub(crate) fn finish(
        &mut self,
        now: Time,
        lease: &LeaseName<'_>,
        result: Vec<u8>,
    ) -> Result<u64, Fence> {
        let number = self.check(lease)?;
        self.remove(number);
        self.outcomes.insert(now, number, Outcome::Done(result));
        Ok(number)
    }

    /// Ends an attempt without a result.
    pub(crate) fn fail(
        &mut self,
        now: Time,
        lease: &LeaseName<'_>,
        failure: Failure,
    ) -> Result<Failed, Fence> {
        let number = self.check(lease)?;
        let Some(job) = self.jobs.get_mut(&number) else {
            return Err(Fence::Gone);
        };
        job.lease = None;
        let delay = match failure {
            Failure::Dead { error } => {
                self.bury(number, error);
                return Ok(Failed::Dead(number));
            }
            Failure::Unstarted => {
                job.attempts = job.attempts.saturating_sub(1);
                Time::ZERO
            }
            Failure::Retry { delay, .. } => delay,
        };
        if delay.is_zero() {
            return Ok(Failed::Returned(self.make_ready(number)));
        }
        self.leave(number);
        let time = now.saturating_add(delay);
        self.delayed.insert((time, number));
        if let Some(job) = self.jobs.get_mut(&number) {
            job.stage = Stage::Delayed(time);
        }
        Ok(Failed::Returned(None))
    }

    /// Puts a job among the leased ones.
    fn hold(&mut self, now: Time, session: Session, number: u64, time: Time) {
        self.leave(number);
        let end = now.saturating_add(time);
        if let Some(job) = self.jobs.get_mut(&number) {
            job.stage = Stage::Leased { end, session };
            self.leases.insert((end, number));
            self.held.entry(session).or_default().insert(number);
        }
    }

    /// Returns the number of the job of a valid lease.
    fn check(&self, lease: &LeaseName<'_>) -> Result<u64, Fence> {
        let number = self.number(lease.id).ok_or(Fence::Gone)?;
        let job = self.jobs.get(&number).ok_or(Fence::Gone)?;
        if matches!(job.stage, Stage::Dead { .. }) {
            return Err(Fence::Gone);
        }
        let is_held = lease
            .lease
            .parse()
            .is_ok_and(|name| job.lease == Some(name));
        if is_held {
            Ok(number)
        } else {
            Err(Fence::Taken)
        }
    }
}

/// What became of a job whose attempt has failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The job is dead; its number.
    Dead(u64),
    /// The job waits again. If it is ready, this is its function.
    Returned(Option<Rc<Function>>),
}
