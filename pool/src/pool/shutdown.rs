//! How a pool ends.

use std::time::Duration;

use coreloop_runtime::time::{Instant, timeout_at};

use super::Pool;
use super::core::{Core, Phase};
use crate::dispatch::Aborted;
use crate::error::ErrorKind;

impl Core {
    /// Accepts no more jobs.
    pub(crate) fn close(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Closing);
            self.close_room();
            // From now on workers are only started for the jobs that are there.
            self.dispatcher.borrow_mut().close();
            self.notify();
        }
        self.end_if_idle();
    }

    /// Ends everything now: fails the jobs that wait, kills the workers of those that run, and
    /// asks the other workers to end. Returns how many jobs were dropped and killed.
    pub(crate) fn stop(&self) -> (usize, usize) {
        self.close();
        self.phase.set(Phase::ShutDown);
        self.dispatcher.borrow_mut().set_target(0);
        let keys = self.dispatcher.borrow().keys();
        let (mut dropped, mut killed) = (0, 0);
        for key in keys {
            let aborted = self.dispatcher.borrow_mut().abort(key);
            match aborted {
                Aborted::Removed { payload, attempts } => {
                    dropped += 1;
                    self.drop_removed(payload, attempts, ErrorKind::ShutDown);
                }
                Aborted::Started { worker, .. } => {
                    killed += 1;
                    let taken = self.take_completion(key);
                    let link = self.link(worker);
                    if let Some(link) = &link {
                        self.kill(link);
                    }
                    if let Some((function, attempt, completion)) = taken {
                        self.count_failed();
                        let error = self.error(function, ErrorKind::ShutDown);
                        let pid = link.map(|link| link.pid);
                        completion.failed(error.started(pid, attempt));
                    }
                }
                Aborted::Gone => {}
            }
        }
        for (_, link) in self.links() {
            link.end();
        }
        (dropped, killed)
    }

    /// Ends all workers of a pool that is closed and has no jobs.
    pub(crate) fn end_if_idle(&self) {
        if self.phase.get() == Phase::Open || !self.dispatcher.borrow().is_empty() {
            return;
        }
        self.dispatcher.borrow_mut().set_target(0);
        for (_, link) in self.links() {
            link.end();
        }
    }

    /// Ends the waiting for room in the queue, which wakes tasks.
    pub(super) fn close_room(&self) {
        crate::panics::caught(|| self.room.close());
    }

    /// Ends a pool whose runtime has ended, so that it can start no worker.
    pub(crate) fn runtime_ended(&self) {
        self.phase.set(Phase::ShutDown);
        self.dispatcher.borrow_mut().set_target(0);
        self.close_room();
        self.fail_waiting(&|| ErrorKind::ShutDown, None, None);
        self.notify();
    }

    /// Waits until all workers have ended.
    pub(crate) async fn all_ended(&self) {
        loop {
            let changed = self.changed.notified();
            if self.links().is_empty() {
                return;
            }
            changed.await;
        }
    }
}

/// What [`Pool::shutdown`] or [`Executor::shutdown`](crate::Executor::shutdown) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many jobs finished after the call and before the time had passed, with or without a
    /// result. A chunk of a map is one job.
    pub done: usize,
    /// How many jobs waited when the time had passed, and did not run.
    pub dropped: usize,
    /// How many jobs ran when the time had passed, and were killed with their workers, or, on the
    /// loop, dropped.
    pub killed: usize,
    /// How many jobs ran when the time had passed, and may still run, because a thread cannot
    /// be killed. The jobs of a pool are never among them.
    pub abandoned: usize,
}

impl Pool {
    /// Accepts no more jobs. Those that were accepted still run, and then the workers end.
    ///
    /// A job that is submitted later fails with an error for which
    /// [`is_shut_down`](crate::JobError::is_shut_down) returns `true`. So does one whose
    /// `submit` waits for room.
    pub fn close(&self) {
        self.core.close();
    }

    /// Returns whether the pool accepts no more jobs.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.core.phase() > Phase::Open
    }

    /// Waits until the pool was closed, and all its workers have ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn join(&self) {
        loop {
            let changed = self.core.changed.notified();
            // Jobs without a worker wait until the next one may be started.
            let is_idle = self.core.dispatcher.borrow().is_empty();
            if self.is_closed() && is_idle && self.core.links().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Closes the pool, and lets its jobs finish until `timeout` has passed. Then fails the jobs
    /// that wait, and kills the workers of those that run. Returns when all workers have ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the pool stays closed. If the future is dropped before the time has
    /// passed, nothing is killed.
    pub async fn shutdown(&self, timeout: Duration) -> Report {
        let before = self.finished();
        self.close();
        let deadline = Instant::now().checked_add(timeout);
        match deadline {
            // An elapsed time is not an error here.
            Some(deadline) => drop(timeout_at(deadline, self.idle()).await),
            None => self.idle().await,
        }
        // Before `stop`, which counts the jobs that it fails as well.
        let done = self.finished() - before;
        let (dropped, killed) = self.core.stop();
        self.join().await;
        Report {
            done,
            dropped,
            killed,
            abandoned: 0,
        }
    }

    /// The number of jobs that have an outcome.
    fn finished(&self) -> usize {
        let counters = &self.core.counters;
        let finished = counters.done.get() + counters.failed.get();
        usize::try_from(finished).unwrap_or(usize::MAX)
    }

    /// Waits until no job is left.
    async fn idle(&self) {
        loop {
            let changed = self.core.changed.notified();
            if self.core.dispatcher.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }
}
