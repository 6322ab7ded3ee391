//! How many workers there are: how they are added, become ready, retire, and are replaced.

use super::worker::{Worker, WorkerKey, WorkerStage, WorkerState};
use super::{Dispatcher, Words};

impl<J, W: Words> Dispatcher<J, W> {
    /// Adds a worker whose process was started. It gets no jobs before [`ready`](Self::ready).
    pub(crate) fn add_worker(&mut self, words: W) -> WorkerKey {
        self.last_worker += 1;
        let number = self.last_worker;
        let worker = Worker::new(number, words, self.prefetch.initial());
        self.stages[WorkerStage::Booting as usize] += 1;
        let index = self.workers.insert(worker);
        WorkerKey { index, number }
    }

    /// Records that a worker takes jobs from now on. The caller then calls `next`.
    pub(crate) fn ready(&mut self, worker: WorkerKey) {
        if let Some(index) = self.find_worker(worker)
            && self.workers[index].stage == WorkerStage::Booting
        {
            self.set_stage(index, WorkerStage::Ready);
        }
    }

    /// Sends nothing more to a worker, and puts the jobs that it has not started back in the
    /// queue. Returns their number.
    pub(crate) fn retire(&mut self, worker: WorkerKey) -> usize {
        let Some(worker) = self.find_worker(worker) else {
            return 0;
        };
        self.set_stage(worker, WorkerStage::Retiring);
        // From the newest to the oldest, because the worker starts the oldest first.
        let in_flight = self.workers[worker].in_flight.backwards(&self.jobs);
        let in_flight: Vec<usize> = in_flight.collect();
        let mut count = 0;
        for index in in_flight {
            if self.revoke(index) {
                self.put_back(index);
                count += 1;
            }
        }
        self.totals.requeued += count as u64;
        count
    }

    /// Returns whether a worker gets no more jobs and has finished all that it had. It can
    /// end then.
    pub(crate) fn is_drained(&self, worker: WorkerKey) -> bool {
        self.find_worker(worker).is_some_and(|index| {
            let Worker {
                stage, in_flight, ..
            } = &self.workers[index];
            matches!(stage, WorkerStage::Spent | WorkerStage::Retiring) && in_flight.is_empty()
        })
    }

    /// Sets how many workers there should be. With 0, no more jobs are sent.
    pub(crate) fn set_target(&mut self, target: usize) {
        self.target = target;
    }

    /// Records that no more jobs are submitted, so that no worker is missing once the queue is
    /// empty. The jobs that were submitted still run.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Returns how many workers have to be started.
    ///
    /// A worker that gets no more jobs does not count, so that its replacement boots while it
    /// finishes its last jobs. The replacement is sent none before that.
    pub(crate) fn missing(&self) -> usize {
        let target = if !self.is_closed {
            self.target
        } else if self.queue.is_empty() {
            0
        } else {
            self.target.min(self.queue.len() + self.sent)
        };
        target.saturating_sub(self.takers())
    }

    /// Returns the workers that have not ended.
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerKey> {
        self.workers.iter().map(|(index, worker)| WorkerKey {
            index,
            number: worker.number,
        })
    }

    /// Returns what a worker shares with the master.
    pub(crate) fn words(&self, worker: WorkerKey) -> Option<&W> {
        Some(&self.workers[self.find_worker(worker)?].words)
    }

    pub(crate) fn state(&self, worker: WorkerKey) -> Option<WorkerState> {
        let worker = &self.workers[self.find_worker(worker)?];
        Some(WorkerState {
            stage: worker.stage,
            in_flight: worker.in_flight.len(),
            prefetch: worker.prefetch,
            issued: worker.issued,
        })
    }

    /// Counts a job that was sent to a worker.
    pub(super) fn count_issued(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.issued += 1;
        if self.max_jobs.is_some_and(|most| worker.issued >= most) {
            self.set_stage(index, WorkerStage::Spent);
        }
    }

    /// Subtracts a job that was revoked from the jobs that were sent. A worker that was spent
    /// takes jobs again, unless its replacement was started.
    pub(super) fn uncount_issued(&mut self, index: usize) {
        self.workers[index].issued -= 1;
        if self.workers[index].stage == WorkerStage::Spent && self.missing() > 0 {
            self.set_stage(index, WorkerStage::Ready);
        }
    }

    /// Returns how many workers take jobs or will.
    fn takers(&self) -> usize {
        self.at_stage(WorkerStage::Booting) + self.at_stage(WorkerStage::Ready)
    }

    /// Returns how many workers are at a stage.
    pub(super) fn at_stage(&self, stage: WorkerStage) -> usize {
        self.stages[stage as usize]
    }

    fn set_stage(&mut self, index: usize, stage: WorkerStage) {
        let old = std::mem::replace(&mut self.workers[index].stage, stage);
        self.stages[old as usize] -= 1;
        self.stages[stage as usize] += 1;
        self.relist(index);
    }
}
