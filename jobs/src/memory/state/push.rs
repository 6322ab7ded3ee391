//! Storing jobs.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Job, Stage, State, Time};
use crate::engine::{Function, JobId, NewJob};

/// Why jobs were not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Jobs,
    Bytes,
}

/// Jobs that were stored.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// The ids, in the order of the jobs.
    pub(crate) ids: Vec<JobId>,
    /// The functions of the jobs that are ready, each as often as it has such a job.
    pub(crate) ready: Vec<Rc<Function>>,
}

impl State {
    /// Stores jobs: all of them, or none.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue is full.
    pub(crate) fn push(&mut self, now: Time, jobs: Vec<NewJob>) -> Result<Pushed, Full> {
        self.keys.forget(now);
        let known = self.known(&jobs)?;
        let mut pushed = Pushed::default();
        for (job, known) in jobs.into_iter().zip(known) {
            let number = known.unwrap_or_else(|| {
                let (number, function) = self.store(now, job);
                pushed.ready.extend(function);
                number
            });
            pushed.ids.push(self.id(number));
        }
        Ok(pushed)
    }

    /// Returns for each job the number of the job that has its key, which may be an earlier one of
    /// these jobs. Checks the limits.
    fn known(&self, jobs: &[NewJob]) -> Result<Vec<Option<u64>>, Full> {
        let mut keys = HashMap::new();
        let (mut count, mut bytes) = (0, 0);
        let mut known = Vec::with_capacity(jobs.len());
        for job in jobs {
            let key = job.key.as_deref();
            let found = key.and_then(|key| {
                let earlier = keys.get(key).copied();
                earlier.or_else(|| self.keys.get(key))
            });
            if found.is_none() {
                count += 1;
                bytes += job.payload.len();
                // The number that `store` gives it.
                keys.extend(key.map(|key| (key, self.last_job + count)));
            }
            known.push(found);
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > 0 && self.jobs.len() + count > self.limits.jobs {
            return Err(Full::Jobs);
        }
        if bytes > 0 && self.bytes + bytes > self.limits.bytes {
            return Err(Full::Bytes);
        }
        Ok(known)
    }

    /// Stores a job. Returns its number, and its function if the job is ready.
    fn store(&mut self, now: Time, job: NewJob) -> (u64, Option<Rc<Function>>) {
        self.last_job += 1;
        let number = self.last_job;
        if let Some(key) = &job.key {
            self.keys.insert(now, key, number);
        }
        self.bytes += job.payload.len();
        let time = now.saturating_add(job.delay);
        self.delayed.insert((time, number));
        let stored = Job {
            function: Rc::new(job.function),
            payload: job.payload,
            attempts: 0,
            lease: None,
            stage: Stage::Delayed(time),
        };
        self.jobs.insert(number, stored);
        let ready = (time <= now).then(|| self.make_ready(number)).flatten();
        (number, ready)
    }
}
