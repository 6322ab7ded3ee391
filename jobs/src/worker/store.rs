//! Storing the ends of jobs in the engine.

use std::collections::VecDeque;
use std::rc::Rc;

use coreloop_runtime::time::{Instant, timeout_at};

use super::event::{WorkerEvent, count};
use super::held::{Held, after};
use super::lease::ENGINE;
use super::running::Running;
use super::text;
use crate::engine::{FIELDS, Failure, Fence};
use crate::error::Error;

/// How many results are stored by one call.
const JOBS: usize = 256;

/// How long the results of one call are, unless it has only one, or the engine accepts less.
const BYTES: usize = 4 << 20;

/// How often an end is refused by an engine that works otherwise, before the worker gives up: it
/// may be too long for the engine. A refusal counts if another operation has succeeded since the
/// one before, so that no outage of the engine costs a result.
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
    /// How many of these failures count as refusals.
    refusals: u32,
    /// How many operations of the engine had succeeded at the last failure.
    successes: u64,
    /// Whether an earlier call may have ended the job, although its answer was lost.
    may_be_stored: bool,
    /// When the engine is asked again.
    due: Instant,
}

impl Ended {
    fn new(held: Rc<Held>, end: End) -> Self {
        Self {
            held,
            end,
            failures: 0,
            refusals: 0,
            successes: 0,
            may_be_stored: false,
            due: Instant::now(),
        }
    }

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
        self.ends.borrow_mut().push_back(Ended::new(held, end));
        self.has_ends.notify_one();
    }

    /// Stores the ends of jobs, together if several have ended.
    pub(super) async fn store_ends(self: Rc<Self>) {
        loop {
            let (done, failed) = self.take_ends();
            if done.is_empty() && failed.is_empty() {
                self.wait_for_ends().await;
                continue;
            }
            if !done.is_empty() {
                self.store_results(done).await;
            }
            for end in failed {
                self.store_failure(end).await;
            }
        }
    }

    /// Waits until there is an end that is due.
    async fn wait_for_ends(&self) {
        let due = self.ends.borrow().iter().map(|end| end.due).min();
        let ended = self.has_ends.notified();
        match due {
            Some(due) => drop(timeout_at(due, ended).await),
            None => ended.await,
        }
    }

    /// Takes the results that are stored by one call, and the failures that came before and among
    /// them. An end that is not due stays, and holds up none of the others.
    fn take_ends(&self) -> (Vec<Ended>, Vec<Ended>) {
        let max_bytes = self.engine.max_bytes().min(BYTES);
        let now = Instant::now();
        let mut ends = self.ends.borrow_mut();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let (mut bytes, mut is_full) = (0, false);
        let mut kept = VecDeque::new();
        while let Some(end) = ends.pop_front() {
            let is_first = done.is_empty();
            match &end.end {
                _ if end.due > now => kept.push_back(end),
                End::Failed(_) => failed.push(end),
                End::Done(result) => {
                    bytes += FIELDS + result.len();
                    // One that the engine has refused goes alone.
                    is_full |= done.len() == JOBS || bytes > max_bytes || end.failures > 0;
                    if is_full && !is_first {
                        kept.push_back(end);
                    } else {
                        done.push(end);
                    }
                }
            }
            if is_full {
                break;
            }
        }
        kept.append(&mut ends);
        *ends = kept;
        (done, failed)
    }

    /// Stores results, or puts them back if the engine fails.
    async fn store_results(&self, done: Vec<Ended>) {
        let jobs = done.iter().map(|end| (&end.held.leased, end.result()));
        match self.ask(self.engine.finish(jobs.collect())).await {
            Ok(fences) => {
                for (end, fence) in done.into_iter().zip(fences) {
                    self.settle(&end, fence);
                }
            }
            Err(error) => {
                let is_alone = done.len() == 1;
                for end in done {
                    self.refused(end, is_alone, &error);
                }
            }
        }
    }

    /// Stores the failure of an attempt, or puts it back if the engine fails.
    async fn store_failure(&self, end: Ended) {
        let End::Failed(failure) = &end.end else {
            return;
        };
        let stored = self
            .ask(self.engine.fail(&end.held.leased, failure.clone()))
            .await;
        match stored {
            Ok(fence) => self.settle(&end, fence),
            Err(error) => self.refused(end, true, &error),
        }
    }

    /// Counts a failure of the engine, and puts the end behind the others. A result that the
    /// engine refuses again and again, while its other operations succeed, becomes a failed
    /// attempt. If the engine refuses that too, the worker lets the lease end.
    fn refused(&self, mut end: Ended, is_alone: bool, error: &Error) {
        let successes = self.successes();
        end.refusals += u32::from(end.failures == 0 || successes > end.successes);
        end.successes = successes;
        end.failures += 1;
        end.may_be_stored = true;
        end.due = after(Instant::now(), ENGINE.after(end.failures));
        let is_final = error.is_codec() || end.refusals >= REFUSALS;
        if is_alone && is_final {
            if matches!(end.end, End::Failed(_)) {
                self.report(&WorkerEvent::Unstored {
                    id: end.held.leased.id.clone(),
                    name: end.held.leased.function.name.clone(),
                    error: error.clone(),
                });
                count(&self.counters.lost);
                return self.release(&end.held);
            }
            let error = format!("the result cannot be stored: {error}");
            let failure = self.retry(&end.held.leased, text::cut(error));
            end = Ended {
                may_be_stored: end.may_be_stored,
                ..Ended::new(end.held, End::Failed(failure))
            };
        }
        self.ends.borrow_mut().push_back(end);
    }

    /// The engine has answered to the end of a job.
    fn settle(&self, end: &Ended, fence: Fence) {
        // If an earlier call was carried out and its answer was lost, the job is gone.
        let is_stored = fence == Fence::Held || fence == Fence::Gone && end.may_be_stored;
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
