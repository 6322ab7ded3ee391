//! [`Worker`], the dispatcher's record of one worker, and [`Words`], the slot words that the
//! master shares with it.

use super::list::{Linked, Links, List};
use super::wake::Place;
use crate::frame::{SLOTS, Slot, Ticket};

/// The key of a worker. With the key of a worker that has ended, no worker is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WorkerKey {
    pub(super) index: usize,
    /// Workers are numbered from 1 in the order in which they were added, and no number is
    /// used twice.
    pub(super) number: u64,
}

/// The slot words that a worker process shares with the master.
///
/// The worker may change a word at any time, and may write anything there if it is broken.
/// The answers decide only about jobs that were sent to this worker.
pub(crate) trait Words {
    /// Sets the word of the slot to QUEUED, with the sequence number of the ticket.
    fn queue(&self, ticket: Ticket);

    /// Changes the word from QUEUED to REVOKED. Returns `false` if the job has started.
    fn revoke(&self, ticket: Ticket) -> bool;

    /// Changes the word from STARTED to `CANCEL_ASKED`.
    fn ask_cancel(&self, ticket: Ticket) -> bool;

    /// Returns whether the word is STARTED or `CANCEL_ASKED`, with the sequence number of
    /// the ticket.
    fn has_started(&self, ticket: Ticket) -> bool;
}

/// How far a worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerStage {
    /// The process was started and does not take jobs yet.
    Booting,
    /// The worker takes jobs.
    Ready,
    /// The worker was sent as many jobs as it may run. It gets no more, and finishes these.
    Spent,
    /// The worker gets no more jobs, and finishes those that it has started.
    Retiring,
}

/// A worker, as `state` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerState {
    pub(crate) stage: WorkerStage,
    /// The number of jobs that it holds, started or not.
    pub(crate) in_flight: usize,
    /// The number of jobs that it may hold.
    pub(crate) prefetch: usize,
    /// The number of jobs that it was sent, without those that were revoked.
    pub(crate) issued: u64,
}

pub(super) struct Worker<W> {
    pub(super) number: u64,
    pub(super) words: W,
    pub(super) stage: WorkerStage,
    /// `next_to_wake` has returned this worker, and `next` has not been called since.
    pub(super) is_woken: bool,
    /// The worker was low, and has not been filled up again since.
    pub(super) is_refilling: bool,
    pub(super) prefetch: usize,
    pub(super) issued: u64,
    pub(super) slots: Slots,
    /// The jobs in the slots, in the order in which they were sent.
    pub(super) in_flight: List,
    pub(super) place: Place,
    /// The links in the list of `place`.
    pub(super) links: Links,
}

impl<W> Worker<W> {
    pub(super) fn new(number: u64, words: W, prefetch: usize) -> Self {
        Self {
            number,
            words,
            stage: WorkerStage::Booting,
            is_woken: false,
            is_refilling: false,
            prefetch,
            issued: 0,
            slots: Slots::default(),
            in_flight: List::default(),
            place: Place::Nowhere,
            links: Links::default(),
        }
    }

    /// Returns whether so few jobs are in flight that the worker is filled up again. Waiting
    /// until half of its jobs are back lets several be written at once.
    pub(super) fn is_low(&self) -> bool {
        self.in_flight.len() <= self.prefetch / 2
    }

    /// Returns whether the worker can be sent jobs at all.
    pub(super) fn takes_jobs(&self) -> bool {
        self.stage == WorkerStage::Ready
    }
}

impl<W> Linked for Worker<W> {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// The jobs in the slots of a worker, by their indices.
pub(super) struct Slots {
    /// One bit for each slot that holds a job.
    occupied: u64,
    jobs: [usize; SLOTS],
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            occupied: 0,
            jobs: [0; SLOTS],
        }
    }
}

impl Slots {
    /// Puts a job in a free slot. Returns `None` if there is none.
    pub(super) fn occupy(&mut self, job: usize) -> Option<Slot> {
        let slot = self.occupied.trailing_ones() as Slot;
        *self.jobs.get_mut(slot)? = job;
        self.occupied |= 1 << slot;
        Some(slot)
    }

    pub(super) fn free(&mut self, slot: Slot) {
        self.occupied &= !(1 << slot);
    }

    pub(super) fn get(&self, slot: Slot) -> Option<usize> {
        (self.occupied >> slot & 1 == 1).then(|| self.jobs[slot])
    }
}
