//! [`Held`], a job that the worker has leased, and its task.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::__jobs::{PortableCall, Returned, withdraw};
use coreloop_pool::{JobError, JobHandle};
use coreloop_runtime::select;
use coreloop_runtime::time::Instant;
use coreloop_sync::{CancellationToken, Notify};

use super::running::Running;
use super::store::End;
use super::text;
use crate::engine::{Failure, Leased};

/// A job that the worker has leased.
pub(super) struct Held {
    /// The number of the job in its worker.
    pub(super) number: u64,
    pub(super) leased: Leased,
    since: Instant,
    /// The end of the lease, as this machine knows it.
    pub(super) valid_until: Cell<Instant>,
    /// Cancelled when another worker has the job.
    pub(super) lost: CancellationToken,
    /// Notified when the job should be returned unless it has started.
    pub(super) recall: Notify,
    /// Whether the job has ended here.
    pub(super) has_ended: Cell<bool>,
}

impl Held {
    pub(super) fn new(number: u64, leased: Leased, lease: Duration) -> Self {
        let since = Instant::now();
        Self {
            number,
            leased,
            since,
            valid_until: Cell::new(after(since, lease)),
            lost: CancellationToken::new(),
            recall: Notify::new(),
            has_ended: Cell::new(false),
        }
    }

    /// Returns for how long the worker has had the job.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The lease was renewed by a call that began at this time.
    pub(super) fn renewed(&self, at: Instant, lease: Duration) {
        self.valid_until.set(after(at, lease));
    }
}

/// Returns the instant after a time, or `start` if there is none.
pub(super) fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or(start)
}

/// Cancels a job when it is dropped.
struct CancelOnDrop(JobHandle<Returned>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running {
    /// Runs a job in the pool, until it has ended or its lease is lost.
    pub(super) async fn run_job(self: Rc<Self>, held: Rc<Held>) {
        let end = select! {
            () = held.lost.cancelled() => None,
            end = self.end_of(&held) => Some(end),
        };
        match end {
            Some(end) => self.ended(held, end),
            None => self.taken(&held),
        }
    }

    /// Runs a job in the pool, and returns its end. Dropping the future cancels the job.
    async fn end_of(&self, held: &Held) -> End {
        let leased = &held.leased;
        let call = PortableCall {
            name: &leased.function.name,
            version: leased.function.version,
            arguments: leased.payload.clone(),
            timeout: self.options.timeout,
        };
        let submitted = select! {
            submitted = call.submit(&self.pool) => submitted,
            () = held.recall.notified() => return End::Failed(Failure::Unstarted),
        };
        let mut job = match submitted {
            Ok(job) => CancelOnDrop(job),
            Err(error) => return self.failed(leased, &error),
        };
        let outcome = loop {
            select! {
                outcome = &mut job.0 => break outcome,
                () = held.recall.notified() => {
                    if withdraw(&job.0) {
                        return End::Failed(Failure::Unstarted);
                    }
                }
            }
        };
        match outcome {
            Ok(returned) if returned.is_err && self.options.retry_errors => {
                End::Failed(self.retry(leased, text::of_err(&returned.result)))
            }
            Ok(returned) => End::Done(returned.result),
            Err(error) => self.failed(leased, &error),
        }
    }

    /// Decides about a job that has no result.
    fn failed(&self, leased: &Leased, error: &JobError) -> End {
        let text = text::cut(error.to_string());
        let may_be_unstarted = error.is_shut_down() || error.is_initializer() || error.is_timeout();
        End::Failed(if error.is_codec() {
            Failure::Dead { error: text }
        } else if may_be_unstarted && !error.has_started() {
            Failure::Unstarted
        } else {
            self.retry(leased, text)
        })
    }

    /// Decides about a job whose attempt has failed.
    pub(super) fn retry(&self, leased: &Leased, error: String) -> Failure {
        if leased.attempt >= self.options.attempts {
            return Failure::Dead { error };
        }
        let delay = self.options.backoff.after(leased.attempt);
        Failure::Retry { delay, error }
    }
}
