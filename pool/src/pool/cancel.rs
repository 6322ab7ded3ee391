//! Cancelling jobs: by a handle, by a time limit, or with a future that is dropped.

use std::rc::Rc;

use super::core::{Core, Phase};
use super::job::{Completion, Job};
use super::link::Link;
use crate::dispatch::{Aborted, JobKey, WorkerKey};
use crate::error::{ErrorKind, JobError};

impl Core {
    /// Makes the handle of a job return the error `kind` now. A job that has not started never
    /// runs. One that has started is asked to stop, and its worker is killed if the options
    /// say so.
    pub(crate) fn cancel(self: &Rc<Self>, key: JobKey, kind: ErrorKind) {
        let (worker, aborted) = self.abort(key);
        match aborted {
            Aborted::Removed { payload, attempts } => self.drop_removed(payload, attempts, kind),
            Aborted::Started { worker, .. } => {
                let taken = self.take_completion(key);
                let pid = self.link(worker).map(|link| link.pid);
                self.kill_for(worker);
                if let Some((function, attempt, completion)) = taken {
                    self.count_failed();
                    completion.failed(self.error(function, kind).started(pid, attempt));
                }
            }
            Aborted::Gone => return,
        }
        self.after_abort(worker);
    }

    /// Cancels a job for `JobHandle::cancel`, which still waits for the outcome if the job has
    /// started.
    pub(crate) fn ask_cancel(self: &Rc<Self>, key: JobKey) {
        let (worker, aborted) = self.abort(key);
        match aborted {
            Aborted::Removed { payload, attempts } => {
                self.drop_removed(payload, attempts, ErrorKind::Cancelled);
            }
            Aborted::Started { worker, .. } => {
                if let Some(job) = self.dispatcher.borrow_mut().payload(key) {
                    job.is_cancelled = true;
                }
                self.kill_for(worker);
            }
            Aborted::Gone => return,
        }
        self.after_abort(worker);
    }

    /// Cancels a job if it has not started. Returns whether it is cancelled.
    #[cfg(feature = "portable")]
    pub(crate) fn withdraw(self: &Rc<Self>, key: JobKey) -> bool {
        let mut dispatcher = self.dispatcher.borrow_mut();
        let worker = dispatcher.location(key);
        let withdrawn = dispatcher.withdraw(key);
        drop(dispatcher);
        let Some(job) = withdrawn else {
            return false;
        };
        self.drop_removed(job, 0, ErrorKind::Cancelled);
        self.after_abort(worker);
        true
    }

    /// Aborts a job. Returns also the worker that had it.
    fn abort(&self, key: JobKey) -> (Option<WorkerKey>, Aborted<Job>) {
        let mut dispatcher = self.dispatcher.borrow_mut();
        (dispatcher.location(key), dispatcher.abort(key))
    }

    /// Kills the worker of an aborted job, if the options say so.
    pub(super) fn kill_for(self: &Rc<Self>, worker: WorkerKey) {
        if !self.options.kill_on_cancel {
            return;
        }
        // So that it starts no other job meanwhile. Its other jobs return to the queue.
        self.retire(worker);
        if let Some(link) = self.link(worker) {
            self.kill_if_unwanted(worker, &link);
        }
    }

    /// Kills a worker if all jobs that it has started were aborted. If it has also finished
    /// another job, it is killed when the result of that job was read.
    pub(super) fn kill_if_unwanted(&self, worker: WorkerKey, link: &Link) {
        if self.options.kill_on_cancel && self.dispatcher.borrow().runs_only_aborted(worker) {
            self.kill(link);
        }
    }

    pub(super) fn kill(&self, link: &Link) {
        if !link.is_killed.get() {
            self.counters.killed.set(self.counters.killed.get() + 1);
            link.kill();
        }
    }

    pub(super) fn drop_removed(&self, job: Job, attempts: u32, kind: ErrorKind) {
        let error = self.unsent_error(&job, attempts, kind);
        self.drop_job(job, error);
    }

    /// Returns the error of a job that waits, of which `attempts` were used up.
    pub(super) fn unsent_error(&self, job: &Job, attempts: u32, kind: ErrorKind) -> JobError {
        let error = self.error(job.function, kind);
        if attempts == 0 && !job.has_run {
            return error;
        }
        // It ran in workers that have ended, and waited to run again.
        error.started(None, attempts.max(1))
    }

    fn after_abort(&self, worker: Option<WorkerKey>) {
        if let Some(worker) = worker {
            // If the job was the last one of a worker that gets no more, no result comes after
            // which the worker would be ended.
            self.end_if_drained(worker);
        }
        self.wake_workers();
        if self.phase.get() > Phase::Open {
            self.notify();
            self.end_if_idle();
        }
    }

    pub(super) fn take_completion(&self, key: JobKey) -> Option<(u16, u32, Box<dyn Completion>)> {
        let mut dispatcher = self.dispatcher.borrow_mut();
        let job = dispatcher.payload(key)?;
        let completion = job.completion.take()?;
        Some((job.function, job.attempt, completion))
    }
}
