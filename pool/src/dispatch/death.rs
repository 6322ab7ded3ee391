//! The end of a worker, and what follows for its jobs.

use super::job::{JobKey, JobStage};
use super::worker::WorkerKey;
use super::{Dispatcher, Words};

/// A job that ran when its worker ended, so that its outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) key: JobKey,
    /// How many workers have ended while they ran the job, this one included.
    pub(crate) attempts: u32,
    /// Whether [`requeue`](Dispatcher::requeue) will accept the job.
    pub(crate) may_retry: bool,
}

impl<J, W: Words> Dispatcher<J, W> {
    /// Removes a worker that has ended. Before that, the caller reads every complete result of
    /// the worker.
    ///
    /// Jobs that had not started return to the queue, and no attempt is counted. Jobs that
    /// had started are returned in the order in which they were sent: the caller calls
    /// [`requeue`](Self::requeue), [`requeue_rest`](Self::requeue_rest) or
    /// [`remove`](Self::remove) for each.
    pub(crate) fn ended(&mut self, worker: WorkerKey) -> Vec<Started> {
        let mut started = Vec::new();
        let Some(worker) = self.find_worker(worker) else {
            return started;
        };
        // From the newest to the oldest, so that each one returns to the front of the queue.
        while let Some(index) = self.workers[worker].in_flight.last() {
            // A job that was aborted while it ran has started, even if a broken worker has
            // changed its word since.
            let has_started = self.jobs[index].is_aborted || self.has_started(index);
            self.unassign(index);
            if !has_started {
                self.put_back(index);
                self.totals.requeued += 1;
                continue;
            }
            self.unknown += 1;
            let job = &mut self.jobs[index];
            job.stage = JobStage::Unknown;
            job.attempts += 1;
            let number = job.number;
            started.push(Started {
                key: JobKey { index, number },
                attempts: job.attempts,
                may_retry: job.may_retry(),
            });
        }
        self.unlist(worker);
        let stage = self.workers.remove(worker).stage;
        self.stages[stage as usize] -= 1;
        started.reverse();
        started
    }

    /// Puts a job that [`ended`](Self::ended) returned in the queue again, at its place by
    /// priority and submission. Returns `false`, and does nothing, if the job may not run
    /// again.
    pub(crate) fn requeue(&mut self, key: JobKey) -> bool {
        let Some(index) = self.find_unknown(key) else {
            return false;
        };
        let may_retry = self.jobs[index].may_retry();
        if may_retry {
            self.unknown -= 1;
            self.put_back(index);
            self.totals.retried += 1;
        }
        may_retry
    }

    /// Like [`requeue`](Self::requeue), for a job whose payload the caller has reduced to
    /// the part that had not started, such as the rest of a chunk. This part has used no
    /// attempt. Returns `false`, and does nothing, if the job was aborted.
    pub(crate) fn requeue_rest(&mut self, key: JobKey) -> bool {
        let Some(index) = self.find_unknown(key) else {
            return false;
        };
        let job = &mut self.jobs[index];
        if job.is_aborted {
            return false;
        }
        job.attempts -= 1;
        self.unknown -= 1;
        self.put_back(index);
        self.totals.requeued += 1;
        true
    }

    /// Takes out a job that [`ended`](Self::ended) returned.
    pub(crate) fn remove(&mut self, key: JobKey) -> Option<J> {
        let index = self.find_unknown(key)?;
        self.unknown -= 1;
        Some(self.jobs.remove(index).payload)
    }

    fn find_unknown(&self, key: JobKey) -> Option<usize> {
        let index = self.find_job(key)?;
        (self.jobs[index].stage == JobStage::Unknown).then_some(index)
    }
}
