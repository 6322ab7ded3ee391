//! Jobs that are no longer wanted: one, or all that wait.

use super::job::{Job, JobKey, JobStage};
use super::worker::WorkerKey;
use super::{Dispatcher, Words};

/// What has become of a job that was aborted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Aborted<J> {
    /// The job waited, was revoked before it started, or its worker had ended. It has left
    /// the dispatcher and never starts again.
    Removed {
        payload: J,
        /// How many workers ended while they ran the job. With 0, the job never started.
        attempts: u32,
    },
    /// The job runs, and is asked to end. `finish` still returns it when its result has come,
    /// which the caller drops. It is never sent again.
    Started { worker: WorkerKey },
    /// There is no such job: it has finished or was removed.
    Gone,
}

impl<J, W: Words> Dispatcher<J, W> {
    /// Takes a job out if it has not started, and otherwise asks it to end.
    pub(crate) fn abort(&mut self, key: JobKey) -> Aborted<J> {
        let Some(index) = self.find_job(key) else {
            return Aborted::Gone;
        };
        if let JobStage::Sent { worker, ticket } = self.jobs[index].stage
            && !self.revoke(index)
        {
            self.workers[worker.index].words.ask_cancel(ticket);
            self.jobs[index].is_aborted = true;
            return Aborted::Started { worker };
        }
        let Job {
            payload, attempts, ..
        } = self.take_out(index);
        Aborted::Removed { payload, attempts }
    }

    /// Takes a job out if it has not started, and otherwise lets it run.
    #[cfg(any(test, feature = "portable"))]
    pub(crate) fn withdraw(&mut self, key: JobKey) -> Option<J> {
        let index = self.find_job(key)?;
        let may_leave = match self.jobs[index].stage {
            JobStage::Waiting => self.jobs[index].attempts == 0,
            JobStage::Sent { .. } => self.jobs[index].attempts == 0 && self.revoke(index),
            JobStage::Unknown => false,
        };
        may_leave.then(|| self.take_out(index).payload)
    }

    /// Takes out a job that waits, was revoked, or whose worker has ended.
    fn take_out(&mut self, index: usize) -> Job<J> {
        match self.jobs[index].stage {
            JobStage::Waiting => self.queue.remove(&mut self.jobs, index),
            JobStage::Unknown => self.unknown -= 1,
            JobStage::Sent { .. } => {}
        }
        self.jobs.remove(index)
    }

    /// Returns whether the worker runs jobs that were aborted, and no others, so that killing
    /// it harms no job. The answer stays true after [`retire`](Self::retire), which keeps the
    /// worker from starting another job.
    pub(crate) fn runs_only_aborted(&self, worker: WorkerKey) -> bool {
        let Some(worker) = self.find_worker(worker) else {
            return false;
        };
        let mut runs_aborted = false;
        for index in self.workers[worker].in_flight.iter(&self.jobs) {
            if self.jobs[index].is_aborted {
                runs_aborted = true;
            } else if self.has_started(index) {
                return false;
            }
        }
        runs_aborted
    }

    /// Takes out all jobs that wait, in the order in which they would be sent.
    /// Each comes with the number of workers that ended while they ran it.
    pub(crate) fn drain_queue(&mut self) -> Vec<(J, u32)> {
        let mut drained = Vec::with_capacity(self.queue.len());
        while let Some(index) = self.queue.first() {
            self.queue.remove(&mut self.jobs, index);
            let job = self.jobs.remove(index);
            drained.push((job.payload, job.attempts));
        }
        drained
    }
}
