//! What the model expects of the dispatcher.

use super::super::*;
use super::world::{At, ModelWorker, World};
use crate::dispatch::worker::WorkerState;

impl World {
    pub(super) fn worker(&mut self, key: WorkerKey) -> &mut ModelWorker {
        let mut workers = self.workers.iter_mut();
        workers
            .find(|worker| worker.key == key)
            .expect("the worker has not ended")
    }

    /// Returns the workers that take jobs and hold none.
    pub(super) fn idle(&self) -> impl Iterator<Item = &ModelWorker> {
        self.workers
            .iter()
            .filter(|worker| worker.stage == WorkerStage::Ready && worker.held.is_empty())
    }

    pub(super) fn busy(&self) -> usize {
        self.workers
            .iter()
            .filter(|worker| !worker.held.is_empty())
            .count()
    }

    fn sent(&self) -> usize {
        self.workers.iter().map(|worker| worker.held.len()).sum()
    }

    fn at_stage(&self, stage: WorkerStage) -> usize {
        self.workers
            .iter()
            .filter(|worker| worker.stage == stage)
            .count()
    }

    pub(super) fn missing(&self) -> usize {
        let target = match (self.is_closed, self.waiting.len()) {
            (false, _) => self.target,
            (true, 0) => 0,
            (true, waiting) => self.target.min(waiting + self.sent()),
        };
        let takers = self.at_stage(WorkerStage::Booting) + self.at_stage(WorkerStage::Ready);
        target.saturating_sub(takers)
    }

    pub(super) fn has_started(&self, number: u64) -> bool {
        match self.jobs[&number].at {
            At::Sent(key, ticket) => {
                let mut workers = self.workers.iter();
                let worker = workers.find(|worker| worker.key == key);
                worker
                    .expect("the worker has not ended")
                    .page
                    .has_started(ticket)
            }
            At::Waiting | At::Unknown | At::Out => false,
        }
    }

    /// Returns the job that the worker should be sent now.
    pub(super) fn expected_next(&self, index: usize) -> Option<u64> {
        let &(_, number) = self.waiting.first()?;
        let worker = &self.workers[index];
        let held = worker.held.len();
        let is_filled_up = worker.is_refilling || held <= worker.prefetch / 2;
        let ready = self.at_stage(WorkerStage::Ready);
        if worker.stage != WorkerStage::Ready || !is_filled_up {
            return None;
        }
        let has_room = if held == 0 {
            self.busy() < self.target
        } else {
            let sharers = ready.min(self.target).max(1);
            let share = (self.waiting.len() + self.sent()).div_ceil(sharers);
            let kept = self
                .idle()
                .count()
                .min(self.target.saturating_sub(self.busy()));
            self.target > 0 && held < worker.prefetch.min(share) && self.waiting.len() > kept
        };
        has_room.then_some(number)
    }

    /// Compares everything that the dispatcher reports with the model.
    pub(super) fn check(&mut self) {
        let counts = self.dispatcher.counts();
        assert_eq!(counts.queued, self.waiting.len());
        assert_eq!(counts.sent, self.sent());
        assert_eq!(counts.unknown, self.unknown.len());
        assert_eq!(counts.busy, self.busy());
        assert_eq!(counts.booting, self.at_stage(WorkerStage::Booting));
        assert_eq!(counts.ready, self.at_stage(WorkerStage::Ready));
        assert_eq!(counts.spent, self.at_stage(WorkerStage::Spent));
        assert_eq!(counts.retiring, self.at_stage(WorkerStage::Retiring));
        assert_eq!(self.dispatcher.missing(), self.missing());
        assert_eq!(
            self.dispatcher.is_empty(),
            self.waiting.is_empty() && self.unknown.is_empty() && counts.sent == 0
        );
        self.check_idle_workers();
        self.check_jobs();
        for worker in &self.workers {
            let expected = WorkerState {
                stage: worker.stage,
                in_flight: worker.held.len(),
                prefetch: worker.prefetch,
                issued: worker.issued,
            };
            assert_eq!(self.dispatcher.state(worker.key), Some(expected));
            let held = worker.held.iter().map(|(number, _)| self.jobs[number].key);
            assert!(self.dispatcher.sent_to(worker.key).eq(held));
            let gets_no_more = matches!(worker.stage, WorkerStage::Spent | WorkerStage::Retiring);
            let is_drained = gets_no_more && worker.held.is_empty();
            assert_eq!(self.dispatcher.is_drained(worker.key), is_drained);
            let started = worker.held.iter().map(|&(number, _)| number);
            let mut started = started
                .filter(|&number| self.has_started(number))
                .peekable();
            let runs_only_aborted =
                started.peek().is_some() && started.all(|number| self.jobs[&number].is_aborted);
            assert_eq!(
                self.dispatcher.runs_only_aborted(worker.key),
                runs_only_aborted
            );
        }
    }

    /// No job waits while a worker is idle: it or as many others as jobs have been woken.
    fn check_idle_workers(&self) {
        let woken_idle = self.idle().filter(|worker| worker.is_woken).count();
        let idle = self.idle().count() - woken_idle;
        assert!(
            idle == 0
                || self.waiting.len() <= woken_idle
                || self.busy() + woken_idle >= self.target
        );
    }

    fn check_jobs(&mut self) {
        // The older ones have all left; a few of them are enough.
        for (&number, job) in self.jobs.iter().rev().take(16) {
            let (location, payload) = match job.at {
                At::Waiting | At::Unknown => (None, Some(number)),
                At::Sent(worker, _) => (Some(worker), Some(number)),
                At::Out => (None, None),
            };
            assert_eq!(self.dispatcher.location(job.key), location);
            assert_eq!(self.dispatcher.payload(job.key).copied(), payload);
            let is_started = job.at == At::Unknown || self.has_started(number);
            assert_eq!(self.dispatcher.is_started(job.key), is_started);
        }
    }
}
