//! [`Local`], the engine of one client of a queue in memory.

use std::rc::Rc;
use std::time::Duration;

use super::shared::Shared;
use super::state::{AtMost, Failed, Full, LeaseName, Lookup, Session};
use crate::engine::{
    Counts, Dead, Engine, Failure, Fence, Function, JobId, Leased, NewJob, Outcome, Pending,
};
use crate::error::{Error, Kind};

/// A client of a queue in memory. Its leases end when it is dropped.
#[derive(Debug)]
pub(crate) struct Local {
    queue: Rc<Shared>,
    session: Session,
}

impl Local {
    pub(super) fn new(queue: Rc<Shared>, session: Session) -> Self {
        Self { queue, session }
    }

    /// Like [`Engine::push`].
    pub(super) fn store(&self, jobs: Vec<NewJob>) -> Result<Vec<JobId>, Error> {
        let pushed = self.queue.with(|state, now| state.push(now, jobs));
        let pushed = pushed.map_err(|full| {
            let what = match full {
                Full::Jobs => "it has as many jobs as it may hold",
                Full::Bytes => "the arguments of its jobs are as long as they may be",
            };
            Error::new(Kind::Engine, format!("the queue is full: {what}"))
        })?;
        self.queue.wake(&pushed.ready);
        Ok(pushed.ids)
    }

    /// Like [`Engine::lease`].
    pub(super) async fn take(
        &self,
        functions: &[Function],
        max: AtMost,
        lease: Duration,
    ) -> Vec<Leased> {
        let mut leased = self.try_take(functions, max, lease);
        if leased.is_empty() && max.jobs > 0 {
            let waiting = self.queue.waiters.add(functions);
            while leased.is_empty() {
                waiting.woken().await;
                leased = self.try_take(functions, max, lease);
            }
            // The call may have been woken for another job than it has taken.
            self.queue.wake_for_ready(functions);
        }
        leased
    }

    /// Leases the jobs that are there now.
    pub(super) fn try_take(
        &self,
        functions: &[Function],
        max: AtMost,
        lease: Duration,
    ) -> Vec<Leased> {
        let session = self.session;
        self.queue
            .with(|state, now| state.lease(now, session, functions, max, lease))
    }

    /// Like [`Engine::renew`].
    pub(super) fn renewed<'a>(
        &self,
        leases: impl Iterator<Item = LeaseName<'a>>,
        time: Duration,
    ) -> Vec<Fence> {
        let session = self.session;
        self.queue.with(|state, now| {
            let renew = |lease| state.renew(now, session, &lease, time);
            leases.map(renew).collect()
        })
    }

    /// Like [`Engine::finish`].
    pub(super) fn finished<'a>(
        &self,
        jobs: impl Iterator<Item = (LeaseName<'a>, Vec<u8>)>,
    ) -> Vec<Fence> {
        let finish = |(lease, result)| {
            let finished = self
                .queue
                .with(|state, now| state.finish(now, &lease, result));
            match finished {
                Ok(number) => {
                    self.queue.ended(number);
                    Fence::Held
                }
                Err(fence) => fence,
            }
        };
        jobs.map(finish).collect()
    }

    /// Like [`Engine::fail`].
    pub(super) fn failed(&self, lease: &LeaseName<'_>, failure: Failure) -> Fence {
        let failed = self
            .queue
            .with(|state, now| state.fail(now, lease, failure));
        match failed {
            Ok(Failed::Dead(number)) => self.queue.ended(number),
            Ok(Failed::Returned(ready)) => self.queue.wake(ready.as_slice()),
            Err(fence) => return fence,
        }
        Fence::Held
    }

    /// Like [`Engine::dead`].
    pub(super) fn letters(&self, max: usize) -> Vec<Dead> {
        self.queue.with(|state, _| state.dead(max))
    }

    /// Like [`Engine::requeue`].
    pub(super) fn requeued(&self, id: &JobId) -> bool {
        let ready = self.queue.with(|state, _| state.requeue(id));
        self.queue.wake(ready.as_slice());
        ready.is_some()
    }

    /// Like [`Engine::discard`].
    pub(super) fn discarded(&self, id: &JobId) -> bool {
        self.queue.with(|state, now| state.discard(now, id))
    }

    /// Like [`Engine::counts`].
    pub(super) fn counted(&self) -> Counts {
        self.queue.with(|state, _| state.counts())
    }

    /// Returns the outcome of a job, or its number if it has not ended.
    pub(super) fn try_end(&self, id: &JobId) -> Result<Result<Outcome, Error>, u64> {
        match self.queue.with(|state, now| state.outcome(now, id)) {
            Lookup::Ended(outcome) => Ok(Ok(outcome)),
            Lookup::Unknown => {
                let text = format!("there is no job {id}, or its result was removed");
                Ok(Err(Error::new(Kind::Unknown, text)))
            }
            Lookup::Pending(number) => Err(number),
        }
    }

    /// Returns for how many jobs a call waits.
    #[cfg(test)]
    pub(super) fn waiting_for_outcomes(&self) -> usize {
        self.queue.waiting_for_outcomes()
    }

    /// Like [`Engine::outcome`].
    pub(super) async fn end(&self, id: &JobId) -> Result<Outcome, Error> {
        loop {
            let number = match self.try_end(id) {
                Ok(ended) => return ended,
                Err(number) => number,
            };
            let waiting = Waiting {
                queue: &self.queue,
                number,
                end: self.queue.end_of(number),
            };
            waiting.end.notified().await;
        }
    }
}

/// A call that waits for the end of a job.
struct Waiting<'a> {
    queue: &'a Shared,
    number: u64,
    end: Rc<coreloop_sync::Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.forget_end(self.number, &self.end);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let session = self.session;
        let ready = self.queue.with(|state, _| state.session_gone(session));
        self.queue.wake(&ready);
    }
}

impl Engine for Local {
    fn push(&self, jobs: Vec<NewJob>) -> Pending<'_, Vec<JobId>> {
        Box::pin(async move { self.store(jobs) })
    }

    fn lease<'a>(
        &'a self,
        functions: &'a [Function],
        max: usize,
        lease: Duration,
    ) -> Pending<'a, Vec<Leased>> {
        Box::pin(async move { Ok(self.take(functions, AtMost::jobs(max), lease).await) })
    }

    fn renew<'a>(&'a self, jobs: Vec<&'a Leased>, lease: Duration) -> Pending<'a, Vec<Fence>> {
        Box::pin(async move { Ok(self.renewed(jobs.into_iter().map(LeaseName::from), lease)) })
    }

    fn finish<'a>(&'a self, jobs: Vec<(&'a Leased, &'a [u8])>) -> Pending<'a, Vec<Fence>> {
        Box::pin(async move {
            let jobs = jobs.into_iter();
            Ok(self.finished(jobs.map(|(job, result)| (LeaseName::from(job), result.to_vec()))))
        })
    }

    fn fail<'a>(&'a self, job: &'a Leased, failure: Failure) -> Pending<'a, Fence> {
        Box::pin(async move { Ok(self.failed(&LeaseName::from(job), failure)) })
    }

    fn outcome<'a>(&'a self, id: &'a JobId) -> Pending<'a, Outcome> {
        Box::pin(self.end(id))
    }

    fn dead(&self, max: usize) -> Pending<'_, Vec<Dead>> {
        Box::pin(async move { Ok(self.letters(max)) })
    }

    fn requeue<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        Box::pin(async move { Ok(self.requeued(id)) })
    }

    fn discard<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        Box::pin(async move { Ok(self.discarded(id)) })
    }

    fn counts(&self) -> Pending<'_, Counts> {
        Box::pin(async move { Ok(self.counted()) })
    }
}
