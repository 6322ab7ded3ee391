//! Storing the ends of jobs in the engine.

use std::rc::Rc;

use super::event::{WorkerEvent, count};
use super::held::Held;
use super::running::Running;
use crate::engine::{Failure, Fence};
use crate::error::Error;

/// How many results are stored by one call.
const JOBS: usize = 256;

/// How long the results of one call are, unless it has only one.
const BYTES: usize = 4 << 20;

/// How often a result is refused by an engine that works otherwise, before the attempt fails: it
/// may be too long for the engine.
const REFUSALS: u32 = 8;

/// How a job has ended here.
#[derive(Debug)]
pub(super) enum End {
    /// With this result.
    Done(Vec<u8>),
    Failed(Failure),
}

/// A job that has ended, and whose end the engine does not have yet.
pub(super) struct Ended {
    pub(super) held: Rc<Held>,
    end: End,
    /// How often the engine has failed to store it.
    failures: u32,
    /// How many operations of the engine had succeeded at the first failure.
    successes: u64,
}

impl Ended {
    fn result(&self) -> &[u8] {
        match &self.end {
            End::Done(result) => result,
            End::Failed(_) => &[],
        }
    }
}

impl Running {
    /// A job has ended, and waits to be stored.
    pub(super) fn ended(&self, held: Rc<Held>, end: End) {
        held.has_ended.set(true);
        self.ends.borrow_mut().push_back(Ended {
            held,
            end,
            failures: 0,
            successes: 0,
        });
        self.has_ends.notify_one();
    }

    /// Stores the ends of jobs, together if several have ended.
    pub(super) async fn store_ends(self: Rc<Self>) {
        let mut failures = 0;
        loop {
            let (done, failed) = self.take_ends();
            if done.is_empty() && failed.is_empty() {
                self.has_ends.notified().await;
                continue;
            }
            let mut refused = Vec::new();
            if !done.is_empty() {
                refused.extend(self.store_results(done).await);
            }
            for end in failed {
                refused.extend(self.store_failure(end).await);
            }
            if refused.is_empty() {
                failures = 0;
                continue;
            }
            failures += 1;
            for end in refused.into_iter().rev() {
                self.put_back(end);
            }
            self.pause(failures).await;
        }
    }

    /// Takes the results that are stored by one call, and the failures that came before and among
    /// them.
    fn take_ends(&self) -> (Vec<Ended>, Vec<Ended>) {
        let mut ends = self.ends.borrow_mut();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some(end) = ends.front() {
            match &end.end {
                End::Failed(_) => failed.extend(ends.pop_front()),
                End::Done(result) => {
                    // One that the engine has refused goes alone.
                    let is_alone = done.is_empty();
                    let is_full = done.len() == JOBS || bytes + result.len() > BYTES;
                    if !is_alone && (is_full || end.failures > 0) {
                        break;
                    }
                    bytes += result.len();
                    let is_last = end.failures > 0;
                    done.extend(ends.pop_front());
                    if is_last {
                        break;
                    }
                }
            }
        }
        (done, failed)
    }

    /// Stores results. Returns those that the engine has not stored.
    async fn store_results(&self, done: Vec<Ended>) -> Vec<Ended> {
        let jobs = done.iter().map(|end| (&end.held.leased, end.result()));
        match self.ask(self.engine.finish(jobs.collect())).await {
            Ok(fences) => {
                for (end, fence) in done.into_iter().zip(fences) {
                    self.settle(&end, fence);
                }
                Vec::new()
            }
            Err(error) => {
                let is_alone = done.len() == 1;
                let refused = done.into_iter();
                refused
                    .map(|end| self.refused(end, is_alone, &error))
                    .collect()
            }
        }
    }

    /// Stores the failure of an attempt. Returns it if the engine has not stored it.
    async fn store_failure(&self, end: Ended) -> Option<Ended> {
        let End::Failed(failure) = &end.end else {
            return None;
        };
        let stored = self
            .ask(self.engine.fail(&end.held.leased, failure.clone()))
            .await;
        match stored {
            Ok(fence) => {
                self.settle(&end, fence);
                None
            }
            Err(error) => Some(self.refused(end, false, &error)),
        }
    }

    /// Counts a failure of the engine. A result that the engine refuses again and again, while
    /// its other operations succeed, becomes a failed attempt.
    fn refused(&self, mut end: Ended, is_alone: bool, error: &Error) -> Ended {
        if end.failures == 0 {
            end.successes = self.successes();
        }
        end.failures += 1;
        let works_otherwise = self.successes() > end.successes;
        let is_final = error.is_codec() || end.failures >= REFUSALS && works_otherwise;
        if is_alone && is_final {
            let error = format!("the result cannot be stored: {error}");
            let failure = self.retry(&end.held.leased, error);
            end.end = End::Failed(failure);
        }
        end
    }

    fn put_back(&self, end: Ended) {
        self.ends.borrow_mut().push_front(end);
    }

    /// The engine has answered to the end of a job.
    fn settle(&self, end: &Ended, fence: Fence) {
        // If an earlier call was carried out and its answer was lost, the job is gone.
        let is_stored = fence == Fence::Held || fence == Fence::Gone && end.failures > 0;
        if !is_stored {
            if matches!(end.end, End::Done(_)) {
                return self.lost(&end.held);
            }
            return self.taken(&end.held);
        }
        let leased = &end.held.leased;
        let (id, name) = (leased.id.clone(), leased.function.name.clone());
        match &end.end {
            End::Done(_) => count(&self.counters.done),
            End::Failed(Failure::Unstarted) => count(&self.counters.returned),
            End::Failed(Failure::Retry { delay, error }) => {
                count(&self.counters.failed);
                self.report(&WorkerEvent::Failed {
                    id,
                    name,
                    attempt: leased.attempt,
                    error: error.clone(),
                    delay: *delay,
                });
            }
            End::Failed(Failure::Dead { error }) => {
                count(&self.counters.dead);
                self.report(&WorkerEvent::Dead {
                    id,
                    name,
                    attempts: leased.attempt,
                    error: error.clone(),
                });
            }
        }
        self.release(&end.held);
    }

    /// The result of a job is lost, because another worker has the job or has finished it.
    pub(super) fn lost(&self, held: &Held) {
        count(&self.counters.lost);
        self.taken(held);
    }
}
