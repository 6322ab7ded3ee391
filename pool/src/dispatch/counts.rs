//! [`Counts`], the numbers of jobs and workers.

use super::{Dispatcher, Words, WorkerStage};

/// How many jobs and workers there are, and what has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Jobs that wait.
    pub(crate) queued: usize,
    /// Jobs that a worker holds, started or not.
    pub(crate) sent: usize,
    /// Jobs whose worker ended while they ran, and about which the caller has not decided.
    pub(crate) unknown: usize,
    /// Workers that do not take jobs yet.
    pub(crate) booting: usize,
    /// Workers that take jobs.
    pub(crate) ready: usize,
    /// Workers that have been sent as many jobs as they may run.
    pub(crate) spent: usize,
    /// Workers that were retired.
    pub(crate) retiring: usize,
    /// Workers that hold a job, whether they get more jobs or not.
    pub(crate) busy: usize,
    pub(crate) totals: Totals,
}

/// What has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Jobs that returned to the queue because their worker ended or retired before it
    /// started them.
    pub(crate) requeued: u64,
    /// Jobs that returned to the queue after their worker ended while they ran.
    pub(crate) retried: u64,
    /// Jobs that were sent and did not start, because they were aborted or taken from their
    /// worker.
    pub(crate) revoked: u64,
    /// Jobs that were taken back for an idle worker.
    pub(crate) taken_back: u64,
}

impl<J, W: Words> Dispatcher<J, W> {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            queued: self.queue.len(),
            sent: self.sent,
            unknown: self.unknown,
            booting: self.at_stage(WorkerStage::Booting),
            ready: self.at_stage(WorkerStage::Ready),
            spent: self.at_stage(WorkerStage::Spent),
            retiring: self.at_stage(WorkerStage::Retiring),
            busy: self.busy,
            totals: self.totals,
        }
    }
}
