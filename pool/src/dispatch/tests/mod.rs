//! Each rule of the dispatcher by itself, and all of them against a plain model.

mod abort;
mod balance;
mod broken;
mod death;
mod model;
mod priority;
mod run;
mod sending;
mod staff;
mod waking;

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Queued,
    Started,
    Revoked,
    CancelAsked,
}

/// The words of a worker, and what the worker does with them.
#[derive(Debug, Clone)]
struct Page(Rc<RefCell<Vec<(u64, State)>>>);

impl Page {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(vec![(0, State::Free); 64])))
    }

    fn change(&self, ticket: Ticket, from: State, to: State) -> bool {
        let word = &mut self.0.borrow_mut()[ticket.slot()];
        let is_there = *word == (ticket.sequence(), from);
        if is_there {
            word.1 = to;
        }
        is_there
    }

    /// Starts a job, as the worker does when it has read the frame.
    fn start(&self, ticket: Ticket) -> bool {
        self.change(ticket, State::Queued, State::Started)
    }
}

impl Words for Page {
    fn queue(&self, ticket: Ticket) {
        self.0.borrow_mut()[ticket.slot()] = (ticket.sequence(), State::Queued);
    }

    fn revoke(&self, ticket: Ticket) -> bool {
        self.change(ticket, State::Queued, State::Revoked)
    }

    fn ask_cancel(&self, ticket: Ticket) -> bool {
        self.change(ticket, State::Started, State::CancelAsked)
    }

    fn has_started(&self, ticket: Ticket) -> bool {
        let (sequence, state) = self.0.borrow()[ticket.slot()];
        sequence == ticket.sequence() && matches!(state, State::Started | State::CancelAsked)
    }
}

/// A dispatcher of jobs that are named by numbers.
type Jobs = Dispatcher<u32, Page>;

const ONCE: JobOptions = JobOptions {
    priority: 0,
    max_attempts: 1,
    is_idempotent: false,
};

const RETRIED: JobOptions = JobOptions {
    priority: 0,
    max_attempts: 3,
    is_idempotent: true,
};

fn dispatcher(workers: usize, prefetch: usize) -> Jobs {
    Dispatcher::new(Limits {
        workers,
        prefetch: Prefetch::Fixed(prefetch),
        max_jobs: None,
    })
}

fn with_max_jobs(workers: usize, prefetch: usize, max_jobs: u64) -> Jobs {
    Dispatcher::new(Limits {
        workers,
        prefetch: Prefetch::Fixed(prefetch),
        max_jobs: Some(max_jobs),
    })
}

fn ready_worker(jobs: &mut Jobs) -> (WorkerKey, Page) {
    let page = Page::new();
    let worker = jobs.add_worker(page.clone());
    jobs.ready(worker);
    (worker, page)
}

fn submit(jobs: &mut Jobs, numbers: std::ops::RangeInclusive<u32>) -> Vec<JobKey> {
    numbers.map(|number| jobs.submit(number, ONCE).0).collect()
}

/// Sends to a worker until it gets no more. Returns the jobs with their tickets.
fn fill(jobs: &mut Jobs, worker: WorkerKey) -> Vec<(u32, Ticket)> {
    std::iter::from_fn(|| {
        let sent = jobs.next(worker)?;
        Some((*sent.payload, sent.ticket))
    })
    .collect()
}

/// Sends one job to a worker.
fn send(jobs: &mut Jobs, worker: WorkerKey) -> Ticket {
    jobs.next(worker).expect("a job waits").ticket
}

fn numbers(sent: &[(u32, Ticket)]) -> Vec<u32> {
    sent.iter().map(|&(number, _)| number).collect()
}

/// Returns the jobs that wait, in the order in which they would be sent.
fn waiting(jobs: &mut Jobs) -> Vec<u32> {
    let drained = jobs.drain_queue().into_iter();
    drained.map(|(job, _)| job).collect()
}

fn all_to_wake(jobs: &mut Jobs) -> Vec<WorkerKey> {
    std::iter::from_fn(|| jobs.next_to_wake()).collect()
}

fn removed(payload: u32) -> Aborted<u32> {
    Aborted::Removed {
        payload,
        attempts: 0,
    }
}
