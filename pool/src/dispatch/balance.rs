//! How jobs that were sent are balanced: jobs behind a long one go to an idle worker, and the
//! prefetch adapts to how long jobs are.

use std::time::Duration;

use super::worker::{Worker, WorkerKey};
use super::{Dispatcher, Words};

impl<J, W: Words> Dispatcher<J, W> {
    /// Takes half of the jobs that the fullest worker has not started back to the queue, the
    /// newest first, if `idle` has no job and none waits. The caller then calls `next` for
    /// `idle`. Returns the number of jobs.
    ///
    /// A worker keeps the oldest of its jobs, which it has started or is about to start.
    pub(crate) fn take_back(&mut self, idle: WorkerKey) -> usize {
        let Some(idle) = self.find_worker(idle) else {
            return 0;
        };
        let worker = &self.workers[idle];
        if !worker.in_flight.is_empty() || !self.queue.is_empty() || !self.has_room(worker) {
            return 0;
        }
        let mut fullest = None;
        let mut most = 0;
        for (index, worker) in &self.workers {
            // Only a worker with more jobs in flight than that can have more queued ones.
            if worker.in_flight.len() > most + 1 {
                let queued = self.queued_behind_the_oldest(worker);
                if queued > most {
                    (fullest, most) = (Some(index), queued);
                }
            }
        }
        let Some(fullest) = fullest else {
            return 0;
        };
        let mut count = 0;
        while count < most.div_ceil(2)
            && let Some(newest) = self.workers[fullest].in_flight.last()
            && self.revoke(newest)
        {
            self.put_back(newest);
            count += 1;
        }
        self.totals.taken_back += count as u64;
        count
    }

    /// Adapts the prefetch of a worker that returned this many results in `elapsed`, and was
    /// never idle in that time.
    pub(crate) fn observe(&mut self, worker: WorkerKey, results: usize, elapsed: Duration) {
        if let Some(index) = self.find_worker(worker) {
            let worker = &mut self.workers[index];
            worker.prefetch = self.prefetch.adapt(worker.prefetch, results, elapsed);
            self.relist(index);
        }
    }

    /// Adapts the prefetch of a worker that returned this many results in `elapsed`, and had
    /// no job for some of that time although jobs waited.
    ///
    /// Its jobs are shorter than the time suggests, so the prefetch does not become smaller. A
    /// worker of very short jobs always has such pauses: it has finished all its jobs before the
    /// master has read a result.
    pub(crate) fn observe_with_pauses(
        &mut self,
        worker: WorkerKey,
        results: usize,
        elapsed: Duration,
    ) {
        if let Some(index) = self.find_worker(worker) {
            let worker = &mut self.workers[index];
            let adapted = self.prefetch.adapt(worker.prefetch, results, elapsed);
            worker.prefetch = worker.prefetch.max(adapted);
            self.relist(index);
        }
    }

    /// Returns how many jobs a worker holds and has not started, without the oldest job.
    fn queued_behind_the_oldest(&self, worker: &Worker<W>) -> usize {
        let newest_first = worker.in_flight.backwards(&self.jobs);
        newest_first
            .take(worker.in_flight.len().saturating_sub(1))
            .take_while(|&index| !self.has_started(index))
            .count()
    }
}
