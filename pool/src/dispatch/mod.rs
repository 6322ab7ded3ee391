//! [`Dispatcher`], which decides which worker gets which job, and what becomes of the jobs of
//! a worker that ends.
//!
//! The dispatcher has no clock and does no I/O. The driver calls it with each event, writes
//! the jobs that [`next`](Dispatcher::next) returns, and starts and ends worker processes.
//! The [`Words`] that the master shares with each worker say which jobs have started.
//!
//! # A job
//!
//! ```text
//!  1 submit
//!     │
//!     ▼            2 next
//! ┌─────────┐ ────────────────► ┌──────┐   4 finish
//! │ Waiting │                   │ Sent │ ────────────►
//! └─────────┘ ◄──────────────── └──────┘   8 abort, unless it has started
//!     │   ▲    3 ended, retire,     │   ────────────►
//!     │   │      take_back,         │
//!     │   │      unless it has      │ 5 ended, if it has started
//!     │   │      started            ▼
//!     │   │                   ┌─────────┐  7 remove, abort
//!     │   └────────────────── │ Unknown │ ────────────►
//!     │       6 requeue,      └─────────┘
//!     │         requeue_rest
//!     └────► 9 abort, drain_queue
//! ```
//!
//! An arrow that ends in no box returns the payload to the caller.
//!
//! # A worker
//!
//! ```text
//!  add_worker        ready           the last of max_jobs is sent
//!      │                                  ┌──────────────► ┌───────┐
//!      ▼           ┌────────► ┌───────┐ ──┘                │ Spent │ ──┐
//! ┌─────────┐ ─────┘          │ Ready │ ◄───────────────── └───────┘   │
//! │ Booting │                 └───────┘  a job is revoked, and         │ ended
//! └─────────┘ ──┐                 │      a worker is missing           ├──────►
//!               │ retire          │ retire                             │
//!               ▼                 ▼                                    │
//!           ┌──────────────────────────┐                               │
//!           │ Retiring                 │ ──────────────────────────────┘
//!           └──────────────────────────┘
//! ```
//!
//! A worker can also be retired when it is spent, and can end at any stage.
//!
//! # What the driver does
//!
//! - It calls `next` for a worker until that returns `None`: after `ready`, after it has read
//!   results of the worker, and when [`next_to_wake`](Dispatcher::next_to_wake) or `submit` has
//!   named the worker. Jobs for which the socket has no room are written later.
//! - It calls `next_to_wake` until that returns `None`, after each call that is listed there.
//! - It starts as many workers as `missing` says, and ends those for which `is_drained` returns
//!   `true`.
//! - When `next` has returned `None` for a worker that holds no job, it calls `take_back`.
//!
//! # Invariants
//!
//! 1. A job is in exactly one of: the queue, the jobs in flight of one worker, the jobs whose
//!    outcome is unknown. A key names it from `submit` until it is taken out, and then
//!    nothing.
//! 2. Each send has a sequence number of its own. A slot of a worker holds one job at most,
//!    and a job in flight is in the slot of its ticket. A ticket finds a job only while the
//!    job is in flight with this ticket, in this worker.
//! 3. A job leaves a worker without a result only if its word was changed from QUEUED to
//!    REVOKED, so that it can no longer start, or if the worker has ended. So a job runs in
//!    one worker at a time. A job that had started runs again only if it is idempotent; with
//!    `requeue_rest`, the caller guarantees that the rest of the job had not started.
//! 4. The queue is sorted by priority, then by the order of submission.
//! 5. At most `target` workers hold a job, unless the target was lowered. So the replacement
//!    of a worker that still finishes its last jobs gets none before that worker is done.
//! 6. While a job waits and fewer than `target` workers hold a job, each idle worker is woken,
//!    or there is a woken idle worker for each job that waits, provided that the driver does
//!    what is listed above.
//! 7. A payload is dropped by the caller, never by the dispatcher: the destructor is user code,
//!    which may call the pool.

mod abort;
mod balance;
mod counts;
mod death;
mod job;
mod list;
mod lookup;
mod prefetch;
mod queue;
mod staff;
#[cfg(test)]
mod tests;
mod wake;
mod worker;

use slab::Slab;

pub(crate) use abort::Aborted;
use counts::Totals;
pub(crate) use death::Started;
use job::{Job, JobStage};
pub(crate) use job::{JobKey, JobOptions};
use list::Links;
pub(crate) use prefetch::Prefetch;
use queue::Queue;
use wake::Places;
use worker::Worker;
pub(crate) use worker::{Words, WorkerKey, WorkerStage};

use crate::frame::Ticket;

/// The options of a pool that the dispatcher obeys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The number of workers.
    pub(crate) workers: usize,
    pub(crate) prefetch: Prefetch,
    /// How many jobs a worker is sent before it is replaced. At least 1.
    pub(crate) max_jobs: Option<u64>,
}

/// The jobs and the workers of a pool. `J` is the payload of a job.
pub(crate) struct Dispatcher<J, W> {
    prefetch: Prefetch,
    max_jobs: Option<u64>,
    target: usize,
    is_closed: bool,
    jobs: Slab<Job<J>>,
    workers: Slab<Worker<W>>,
    /// The jobs that wait.
    queue: Queue,
    /// The workers that could be sent a job.
    places: Places,
    /// The number of jobs in flight.
    sent: usize,
    unknown: usize,
    /// The number of workers at each stage.
    stages: [usize; 4],
    /// The number of workers that hold a job.
    busy: usize,
    last_job: u64,
    last_worker: u64,
    last_sequence: u64,
    totals: Totals,
}

/// A job to send now.
#[derive(Debug)]
pub(crate) struct Send<'a, J> {
    pub(crate) ticket: Ticket,
    /// The number of this attempt, from 1.
    pub(crate) attempt: u32,
    pub(crate) payload: &'a mut J,
}

/// A job whose result has come. It has left the dispatcher.
#[derive(Debug)]
pub(crate) struct Finished<J> {
    pub(crate) payload: J,
    /// The number of the attempt that gave the result, from 1.
    pub(crate) attempt: u32,
}

impl<J, W: Words> Dispatcher<J, W> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            prefetch: limits.prefetch,
            max_jobs: limits.max_jobs,
            target: limits.workers,
            is_closed: false,
            jobs: Slab::new(),
            workers: Slab::new(),
            queue: Queue::default(),
            places: Places::default(),
            sent: 0,
            unknown: 0,
            stages: [0; 4],
            busy: 0,
            last_job: 0,
            last_worker: 0,
            last_sequence: 0,
            totals: Totals::default(),
        }
    }

    /// Adds a job. Returns its key and the worker to wake, if one has room.
    pub(crate) fn submit(&mut self, job: J, options: JobOptions) -> (JobKey, Option<WorkerKey>) {
        self.last_job += 1;
        let number = self.last_job;
        let index = self.jobs.insert(Job {
            number,
            payload: job,
            options,
            attempts: 0,
            is_aborted: false,
            stage: JobStage::Waiting,
            links: Links::default(),
        });
        self.queue.push(&mut self.jobs, index);
        (JobKey { index, number }, self.next_to_wake())
    }

    /// Chooses the next job to send to this worker now. The job gets a slot, whose word is set
    /// to QUEUED, and a ticket.
    pub(crate) fn next(&mut self, worker: WorkerKey) -> Option<Send<'_, J>> {
        let index = self.find_worker(worker)?;
        self.workers[index].is_woken = false;
        let sent = self.send(index);
        if sent.is_none() {
            self.workers[index].is_refilling = false;
        }
        self.relist(index);
        let (job, ticket) = sent?;
        self.count_issued(index);
        let sent = &mut self.jobs[job];
        Some(Send {
            ticket,
            attempt: sent.attempts + 1,
            payload: &mut sent.payload,
        })
    }

    /// Moves the first job of the queue to a slot of a worker, if the worker has room.
    fn send(&mut self, index: usize) -> Option<(usize, Ticket)> {
        let job = self.queue.first()?;
        let worker = &self.workers[index];
        if !(worker.is_refilling || worker.is_low()) || !self.has_room(worker) {
            return None;
        }
        let worker = &mut self.workers[index];
        worker.is_refilling = true;
        let slot = worker.slots.occupy(job)?;
        self.last_sequence += 1;
        let ticket = Ticket::new(self.last_sequence, slot);
        worker.words.queue(ticket);
        self.queue.remove(&mut self.jobs, job);
        if worker.in_flight.is_empty() {
            self.busy += 1;
        }
        worker.in_flight.push_back(&mut self.jobs, job);
        self.sent += 1;
        let number = worker.number;
        self.jobs[job].stage = JobStage::Sent {
            worker: WorkerKey { index, number },
            ticket,
        };
        Some((job, ticket))
    }

    /// Takes out the job whose complete result has come from this worker, and frees its slot.
    /// Returns `None` for a ticket with which no job is in flight there: the worker is broken.
    pub(crate) fn finish(&mut self, worker: WorkerKey, ticket: Ticket) -> Option<Finished<J>> {
        let index = self.find_ticket(worker, ticket)?;
        self.unassign(index);
        self.relist(worker.index);
        let job = self.jobs.remove(index);
        Some(Finished {
            payload: job.payload,
            attempt: job.attempts + 1,
        })
    }

    /// Takes a job in flight off its worker, unless it has started. The caller puts it in the
    /// queue, or takes it out.
    fn revoke(&mut self, index: usize) -> bool {
        let JobStage::Sent { worker, ticket } = self.jobs[index].stage else {
            return false;
        };
        // A job that was aborted while it ran has started, even if a broken worker has changed
        // its word since.
        let is_revoked =
            !self.jobs[index].is_aborted && self.workers[worker.index].words.revoke(ticket);
        if is_revoked {
            self.totals.revoked += 1;
            self.unassign(index);
            self.uncount_issued(worker.index);
            self.relist(worker.index);
        }
        is_revoked
    }

    /// Takes a job in flight off its worker, and frees its slot. The caller sets its stage,
    /// or takes it out, and calls `relist` for the worker.
    fn unassign(&mut self, index: usize) {
        let JobStage::Sent { worker, ticket } = self.jobs[index].stage else {
            return;
        };
        let worker = &mut self.workers[worker.index];
        worker.slots.free(ticket.slot());
        worker.in_flight.remove(&mut self.jobs, index);
        self.sent -= 1;
        if worker.in_flight.is_empty() {
            self.busy -= 1;
        }
    }

    /// Puts a job that belongs to no list back in the queue.
    fn put_back(&mut self, index: usize) {
        self.jobs[index].stage = JobStage::Waiting;
        self.queue.put_back(&mut self.jobs, index);
    }
}
