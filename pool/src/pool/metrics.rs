//! [`Metrics`], what a pool does.

use super::Pool;
use crate::dispatch::WorkerStage;

/// What a pool does, and has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How many jobs wait, in the pool or in the socket of a worker.
    pub queued: usize,
    /// How many jobs run.
    pub running: usize,
    /// How many jobs have returned a result.
    pub done: u64,
    /// How many jobs have failed.
    pub failed: u64,
    /// How often a job that waited in a worker which ended was put back into the queue.
    pub requeued: u64,
    /// How many workers were killed because of a cancelled job, a time limit, or the end of
    /// the pool.
    pub killed: u64,
    /// The workers, from the oldest to the newest.
    pub workers: Vec<WorkerMetrics>,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// The process id.
    pub pid: u32,
    /// What it does.
    pub state: WorkerState,
    /// How many jobs wait in its socket.
    pub queued: usize,
    /// How many jobs it has finished.
    pub done: u64,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// It starts, or runs the initializer.
    Starting,
    /// It waits for a job.
    Idle,
    /// It runs a job.
    Busy,
    /// It gets no more jobs, and ends when it has finished those that it has.
    Ending,
}

impl Pool {
    /// Returns what the pool does, and has done.
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
