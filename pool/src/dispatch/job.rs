//! [`Job`], the dispatcher's record of one job.

use super::list::{Linked, Links};
use super::worker::WorkerKey;
use crate::frame::Ticket;

/// The key of a job. With the key of a job that has left the dispatcher, no job is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct JobKey {
    pub(super) index: usize,
    pub(super) number: u64,
}

impl JobKey {
    /// Returns the number of the job. Jobs are numbered from 1 in the order of their
    /// submission, and no number is used twice.
    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

/// What the caller of `submit` chooses for a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobOptions {
    /// Jobs with a higher number are sent first. Jobs of one priority are sent in the order
    /// of their submission.
    pub(crate) priority: i32,
    /// How often the job may start. A job starts again only if it is idempotent, after its
    /// worker ended while the job ran.
    pub(crate) max_attempts: u32,
    /// Whether the job may run again if its worker ended while it ran.
    pub(crate) is_idempotent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobStage {
    /// In the queue.
    Waiting,
    /// In a slot of a worker, which has started the job or not.
    Sent { worker: WorkerKey, ticket: Ticket },
    /// The worker ended while the job ran. The caller of `ended` decides what happens next.
    Unknown,
}

pub(super) struct Job<J> {
    pub(super) number: u64,
    pub(super) payload: J,
    pub(super) options: JobOptions,
    /// How many workers ended while they ran the job.
    pub(super) attempts: u32,
    /// The job had started when it was aborted: its result is dropped, and it is never sent
    /// again.
    pub(super) is_aborted: bool,
    pub(super) stage: JobStage,
    /// The links in the queue while the job waits, and in the worker's jobs in flight while it
    /// is sent.
    pub(super) links: Links,
}

impl<J> Job<J> {
    /// Returns whether the job may start again after its worker ended while it ran.
    pub(super) fn may_retry(&self) -> bool {
        self.options.is_idempotent && !self.is_aborted && self.attempts < self.options.max_attempts
    }
}

impl<J> Linked for Job<J> {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}
