//! Which worker is woken for a job that waits.

use super::list::List;
use super::worker::{Worker, WorkerKey, WorkerStage};
use super::{Dispatcher, Words};

/// The list in which a worker is. A worker that gets no jobs now, or has enough, is in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// The worker holds no job.
    Idle,
    /// The worker holds at least one job, and so few that it is filled up again.
    Low,
    /// The worker holds no job, and was woken.
    WokenIdle,
    /// The worker holds at least one job, and was woken.
    WokenLow,
}

/// The workers that could be sent a job.
#[derive(Default)]
pub(super) struct Places {
    /// The worker that became idle last is first: its memory is most likely still cached.
    pub(super) idle: List,
    pub(super) low: List,
    pub(super) woken_idle: List,
    pub(super) woken_low: List,
}

impl Places {
    fn list(&mut self, place: Place) -> Option<&mut List> {
        match place {
            Place::Nowhere => None,
            Place::Idle => Some(&mut self.idle),
            Place::Low => Some(&mut self.low),
            Place::WokenIdle => Some(&mut self.woken_idle),
            Place::WokenLow => Some(&mut self.woken_low),
        }
    }
}

impl<J, W: Words> Dispatcher<J, W> {
    /// Chooses a worker to wake for the jobs that wait: an idle one, or else one that is low.
    /// The caller then calls `next` for it. Returns `None` if the workers that were chosen
    /// before are enough, or if none has room.
    ///
    /// The caller repeats this until it returns `None`, after each call that adds a job to the
    /// queue or ends the wait for one: `ready`, `finish`, `abort`, `ended`, `requeue`,
    /// `requeue_rest`, `take_back`, `retire` and `set_target`.
    pub(crate) fn next_to_wake(&mut self) -> Option<WorkerKey> {
        let waiting = self.queue.len();
        let woken_idle = self.places.woken_idle.len();
        let chosen = if waiting > woken_idle
            && self.busy + woken_idle < self.target
            && let Some(idle) = self.places.idle.first()
        {
            idle
        } else if waiting > woken_idle + self.places.woken_low.len() {
            let mut low = self.places.low.iter(&self.workers);
            low.find(|&index| self.has_room(&self.workers[index]))?
        } else {
            return None;
        };
        self.workers[chosen].is_woken = true;
        self.relist(chosen);
        Some(self.worker_key(chosen))
    }

    /// Returns whether the limits allow one more job for the worker, if it is being filled up.
    pub(super) fn has_room(&self, worker: &Worker<W>) -> bool {
        let held = worker.in_flight.len();
        if !worker.takes_jobs() {
            false
        } else if held == 0 {
            self.busy < self.target
        } else {
            held < self.limit(worker) && self.queue.len() > self.reserved()
        }
    }

    /// Returns how many jobs the worker may hold: as many as its prefetch says, but no more
    /// than its share of all jobs, so that a short queue is spread over the workers.
    fn limit(&self, worker: &Worker<W>) -> usize {
        let sharers = self.at_stage(WorkerStage::Ready).min(self.target);
        if sharers == 0 {
            return 0;
        }
        let share = (self.queue.len() + self.sent).div_ceil(sharers);
        worker.prefetch.min(share)
    }

    /// Returns how many of the waiting jobs are kept for idle workers.
    fn reserved(&self) -> usize {
        let idle = self.places.idle.len() + self.places.woken_idle.len();
        idle.min(self.target.saturating_sub(self.busy))
    }

    /// Moves a worker to the list that it belongs to. The caller has changed the stage, the jobs
    /// in flight, the prefetch or `is_woken` of the worker.
    pub(super) fn relist(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        let place = if !worker.takes_jobs() {
            worker.is_woken = false;
            Place::Nowhere
        } else if worker.in_flight.is_empty() {
            if worker.is_woken {
                Place::WokenIdle
            } else {
                Place::Idle
            }
        } else if worker.is_woken {
            Place::WokenLow
        } else if worker.is_low() {
            Place::Low
        } else {
            Place::Nowhere
        };
        if place != worker.place {
            self.unlist(index);
            self.workers[index].place = place;
            match place {
                Place::Low => self.places.low.push_back(&mut self.workers, index),
                _ => {
                    if let Some(list) = self.places.list(place) {
                        list.push_front(&mut self.workers, index);
                    }
                }
            }
        }
    }

    pub(super) fn unlist(&mut self, index: usize) {
        let place = std::mem::replace(&mut self.workers[index].place, Place::Nowhere);
        if let Some(list) = self.places.list(place) {
            list.remove(&mut self.workers, index);
        }
    }
}
