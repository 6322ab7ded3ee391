//! [`Metrics`], the jobs and workers of a pool in numbers.

use super::Pool;
use crate::dispatch::WorkerStage;

/// The jobs and workers of a pool in numbers. A chunk of a map counts as one job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How many jobs wait, in the pool or in the socket of a worker.
    pub queued: usize,
    /// How many jobs run.
    pub running: usize,
    /// How many jobs have sent a result.
    pub done: u64,
    /// How many jobs have failed or were cancelled.
    pub failed: u64,
    /// How often a job returned to the queue because its worker ended, or was about to be
    /// replaced, before the job had started.
    pub requeued: u64,
    /// How many workers were killed because of a cancelled job, a time limit, or the end of
    /// the pool.
    pub killed: u64,
    /// The workers, from the oldest to the newest.
    pub workers: Vec<WorkerMetrics>,
}

/// One worker of a pool in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// The process id.
    pub pid: u32,
    /// What the worker does.
    pub state: WorkerState,
    /// How many jobs wait in its socket.
    pub queued: usize,
    /// How many jobs the worker has finished.
    pub done: u64,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// The worker starts, or runs the initializer.
    Starting,
    /// The worker waits for a job.
    Idle,
    /// The worker runs a job.
    Busy,
    /// The worker gets no more jobs, and ends when it has finished those that it has.
    Ending,
}

impl Pool {
    /// Returns the numbers of jobs and workers, now and since the pool was built.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let dispatcher = self.core.dispatcher.borrow();
        let mut running = 0;
        let counts = dispatcher.counts();
        let mut waiting = counts.queued;
        let mut workers = Vec::new();
        for key in dispatcher.workers() {
            let (Some(link), Some(state)) = (dispatcher.words(key), dispatcher.state(key)) else {
                continue;
            };
            let sent = dispatcher.sent_to(key);
            let started = sent.filter(|&job| dispatcher.is_started(job)).count();
            let queued = state.in_flight - started;
            running += started;
            waiting += queued;
            let state = match state.stage {
                WorkerStage::Booting => WorkerState::Starting,
                WorkerStage::Spent | WorkerStage::Retiring => WorkerState::Ending,
                WorkerStage::Ready if link.is_ending.get() => WorkerState::Ending,
                WorkerStage::Ready if state.in_flight == 0 => WorkerState::Idle,
                WorkerStage::Ready => WorkerState::Busy,
            };
            workers.push((
                link.number,
                WorkerMetrics {
                    pid: link.pid,
                    state,
                    queued,
                    done: link.done.get(),
                },
            ));
        }
        workers.sort_by_key(|(number, _)| *number);
        let counters = &self.core.counters;
        Metrics {
            queued: waiting,
            running,
            done: counters.done.get(),
            failed: counters.failed.get(),
            requeued: counts.totals.requeued,
            killed: counters.killed.get(),
            workers: workers.into_iter().map(|(_, worker)| worker).collect(),
        }
    }
}
