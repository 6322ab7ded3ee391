//! Finding jobs and workers by their keys and tickets.

use super::job::{JobKey, JobStage};
use super::worker::WorkerKey;
use super::{Dispatcher, Words};
use crate::frame::Ticket;

impl<J, W: Words> Dispatcher<J, W> {
    pub(crate) fn payload(&mut self, key: JobKey) -> Option<&mut J> {
        let index = self.find_job(key)?;
        Some(&mut self.jobs[index].payload)
    }

    /// Returns the job that is in flight in this worker with this ticket.
    pub(crate) fn by_ticket(
        &mut self,
        worker: WorkerKey,
        ticket: Ticket,
    ) -> Option<(JobKey, &mut J)> {
        let index = self.find_ticket(worker, ticket)?;
        let job = &mut self.jobs[index];
        let number = job.number;
        Some((JobKey { index, number }, &mut job.payload))
    }

    /// Returns whether a worker has started the job, and its result has not come.
    pub(crate) fn is_started(&self, key: JobKey) -> bool {
        self.find_job(key)
            .is_some_and(|index| match self.jobs[index].stage {
                JobStage::Waiting => false,
                JobStage::Sent { .. } => self.has_started(index),
                JobStage::Unknown => true,
            })
    }

    /// Returns the worker that holds the job.
    pub(crate) fn location(&self, key: JobKey) -> Option<WorkerKey> {
        match self.jobs[self.find_job(key)?].stage {
            JobStage::Sent { worker, .. } => Some(worker),
            JobStage::Waiting | JobStage::Unknown => None,
        }
    }

    /// Returns the jobs that a worker holds, in the order in which they were sent.
    pub(crate) fn sent_to(&self, worker: WorkerKey) -> impl Iterator<Item = JobKey> {
        let worker = self.find_worker(worker);
        let in_flight = worker.map(|index| self.workers[index].in_flight.iter(&self.jobs));
        in_flight.into_iter().flatten().map(|index| JobKey {
            index,
            number: self.jobs[index].number,
        })
    }

    /// Returns the keys of all jobs.
    pub(crate) fn keys(&self) -> Vec<JobKey> {
        let jobs = self.jobs.iter();
        let keys = jobs.map(|(index, job)| JobKey {
            index,
            number: job.number,
        });
        keys.collect()
    }

    /// Returns whether the job has not left the dispatcher.
    pub(crate) fn contains(&self, key: JobKey) -> bool {
        self.find_job(key).is_some()
    }

    /// Returns whether a job waits in the queue.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Returns whether no job is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn find_job(&self, key: JobKey) -> Option<usize> {
        let job = self.jobs.get(key.index)?;
        (job.number == key.number).then_some(key.index)
    }

    pub(super) fn find_worker(&self, key: WorkerKey) -> Option<usize> {
        let worker = self.workers.get(key.index)?;
        (worker.number == key.number).then_some(key.index)
    }

    pub(super) fn find_ticket(&self, worker: WorkerKey, ticket: Ticket) -> Option<usize> {
        let index = self.find_worker(worker)?;
        let job = self.workers[index].slots.get(ticket.slot())?;
        (self.jobs[job].stage == JobStage::Sent { worker, ticket }).then_some(job)
    }

    pub(super) fn worker_key(&self, index: usize) -> WorkerKey {
        let number = self.workers[index].number;
        WorkerKey { index, number }
    }

    /// Returns whether a job in flight has started, by its word.
    pub(super) fn has_started(&self, index: usize) -> bool {
        match self.jobs[index].stage {
            JobStage::Sent { worker, ticket } => {
                self.workers[worker.index].words.has_started(ticket)
            }
            JobStage::Waiting | JobStage::Unknown => false,
        }
    }
}
