//! The end of a worker, and what follows for the jobs that it had.

use std::process::ExitStatus;
use std::rc::Rc;

use super::chunk::{self, Broken, Divided, Rest};
use super::core::Core;
use super::job::Job;
use super::link::Link;
use crate::dispatch::{JobKey, Started, WorkerKey};
use crate::error::ErrorKind;

impl Core {
    /// Handles the end of a worker whose socket was drained.
    pub(crate) fn ended(
        self: &Rc<Self>,
        worker: WorkerKey,
        link: &Rc<Link>,
        status: Option<ExitStatus>,
    ) {
        let served = link.ready_at.get().map(|at| at.elapsed());
        let started = self.dispatcher.borrow_mut().ended(worker);
        for job in started {
            self.judge(&job, link, status);
        }
        if !link.is_ending.get() {
            match served {
                // Also if the pool has killed the worker, for example for an invalid frame.
                None => self.failed_start(&start_failure(link, status)),
                Some(_) if link.is_killed.get() => {}
                Some(served) => self.starts.died(served, &self.options.restarts),
            }
        }
        if self.options.is_single {
            *self.status.borrow_mut() = status;
            self.dispatcher.borrow_mut().set_target(0);
            self.fail_waiting(&|| ErrorKind::BrokenWorker(None), Some(link.pid), status);
        }
        self.start_missing();
        self.wake_workers();
        self.notify();
        self.end_if_idle();
    }

    /// Removes a worker whose task was dropped with the runtime, and fails its jobs.
    pub(crate) fn ended_with_runtime(&self, worker: WorkerKey) {
        let started = self.dispatcher.borrow_mut().ended(worker);
        for job in started {
            let job = self.dispatcher.borrow_mut().remove(job.key);
            if let Some(job) = job {
                let error = self.error(job.function, ErrorKind::ShutDown);
                let attempt = job.attempt;
                self.drop_job(job, error.started(None, attempt));
            }
        }
        self.runtime_ended();
    }

    /// Decides what becomes of a job that had started on a worker which has ended.
    pub(super) fn judge(
        self: &Rc<Self>,
        started: &Started,
        link: &Link,
        status: Option<ExitStatus>,
    ) {
        let key = started.key;
        let mut dispatcher = self.dispatcher.borrow_mut();
        let Some(job) = dispatcher.payload(key) else {
            return;
        };
        let kind = if job.is_cancelled {
            ErrorKind::Cancelled
        } else {
            ErrorKind::BrokenWorker(link.failure.borrow().clone())
        };
        let (function, slot, attempt) = (job.function, job.slot, job.attempt);
        let items = job.completion.as_ref().and_then(|waits| waits.items());
        let chunk = items.zip(job.completion.take_if(|_| items.is_some()));
        let chunk = chunk.map(|(items, completion)| Broken {
            started,
            job: job.without_completion(),
            completion,
            items,
            begun: chunk::begun(link, slot, items),
        });
        if chunk.is_none() && dispatcher.requeue(key) {
            return;
        }
        drop(dispatcher);
        let error = self
            .error(function, kind)
            .started(Some(link.pid), attempt)
            .ended_with(status);
        let Divided { lost, rest } = chunk.map(|chunk| chunk.divide(self)).unwrap_or_default();
        // Before the lost items fail, because that wakes tasks, which may end the pool.
        let removed = self.put_rest(key, rest);
        if let Some(lost) = lost {
            lost.failed(error.clone());
        }
        if let Some(job) = removed {
            self.drop_job(job, error);
        }
    }

    /// Replaces a job that had started by the rest of its chunk, and puts that back in the queue.
    /// Removes and returns the job if there is no rest, or if it must not run.
    fn put_rest(&self, key: JobKey, rest: Option<Rest>) -> Option<Job> {
        let mut dispatcher = self.dispatcher.borrow_mut();
        if let Some(Rest { job, is_retry }) = rest {
            *dispatcher.payload(key)? = job;
            let is_queued = match is_retry {
                true => dispatcher.requeue(key),
                false => dispatcher.requeue_rest(key),
            };
            if is_queued {
                return None;
            }
        }
        dispatcher.remove(key)
    }

    /// Fails all jobs that wait for a worker.
    pub(crate) fn fail_waiting(
        &self,
        kind: &dyn Fn() -> ErrorKind,
        worker: Option<u32>,
        status: Option<ExitStatus>,
    ) {
        let waiting = self.dispatcher.borrow_mut().drain_queue();
        for (job, attempts) in waiting {
            let error = self.unsent_error(&job, attempts, kind());
            let error = error.on_worker(worker).ended_with(status);
            self.drop_job(job, error);
        }
    }

    /// Counts a worker that did not become ready.
    pub(super) fn failed_start(&self, reason: &str) {
        if self.starts.failed(&self.options.restarts) {
            self.give_up(reason);
        }
    }

    /// Counts a process that could not be started.
    pub(crate) fn failed_launch(&self, reason: &str) {
        let is_hopeless = self.starts.failed(&self.options.restarts);
        // The system may have room for some of the workers, and those are about to be ready.
        if is_hopeless && self.dispatcher.borrow().counts().booting == 0 {
            self.give_up(reason);
        }
    }

    /// Fails the jobs that wait, because too many workers in a row did not become ready.
    pub(super) fn give_up(&self, reason: &str) {
        if !self.starts.was_ever_ready() {
            *self.broken.borrow_mut() = Some(reason.to_owned());
            self.dispatcher.borrow_mut().set_target(0);
            self.close_room();
            // Workers that are still starting would get no jobs.
            for (_, link) in self.links() {
                link.end();
            }
        }
        let has_ready = self.dispatcher.borrow().counts().ready > 0;
        if !has_ready {
            self.fail_waiting(&|| ErrorKind::Initializer(reason.to_owned()), None, None);
        }
        self.notify();
        self.end_if_idle();
    }
}

/// Says why a worker did not become ready.
fn start_failure(link: &Link, status: Option<ExitStatus>) -> String {
    match (&*link.failure.borrow(), status) {
        (Some(text), _) => text.clone(),
        (None, Some(status)) => format!("worker {} ended before it was ready: {status}", link.pid),
        (None, None) => format!("worker {} ended before it was ready", link.pid),
    }
}
