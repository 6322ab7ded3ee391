//! [`Table`], the requests of a client whose answers a task or a thread waits for.
//!
//! # Invariants
//!
//! 1. No user code runs while the table is borrowed: wakers are returned, or dropped afterwards.
//! 2. An answer to a request that is not in the table is for a request that was withdrawn.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, Waker};

use super::BrokerError;
use super::protocol::Answer;
use super::state::NO_REQUEST;

#[derive(Debug)]
pub(crate) struct Table {
    last: Cell<u64>,
    /// How many requests hold something. They are not in the table.
    held: Cell<usize>,
    max_open: usize,
    entries: RefCell<HashMap<u64, Entry>>,
    /// Why there are no more answers.
    failure: RefCell<Option<BrokerError>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// A request may have several answers. They are taken in order.
    answers: VecDeque<Answer>,
    waker: Option<Waker>,
}

impl Table {
    /// Creates the table of a client that may have `max_open` open requests.
    pub(crate) fn new(max_open: usize) -> Self {
        Self {
            last: Cell::new(NO_REQUEST),
            held: Cell::new(0),
            max_open,
            entries: RefCell::default(),
            failure: RefCell::new(None),
        }
    }

    /// Adds a request, and returns its number.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no more answers, or if too many requests wait.
    pub(crate) fn add(&self) -> Result<u64, BrokerError> {
        if let Some(error) = &*self.failure.borrow() {
            return Err(error.clone());
        }
        let mut entries = self.entries.borrow_mut();
        if entries.len() + self.held.get() >= self.max_open {
            return Err(BrokerError::invalid(
                "this thread waits for too many objects of one process, or holds too many",
            ));
        }
        self.last.set(self.last.get() + 1);
        entries.insert(self.last.get(), Entry::default());
        Ok(self.last.get())
    }

    /// Adds an answer. Returns the waker of the task that waits for it.
    #[must_use]
    pub(crate) fn answered(&self, request: u64, answer: Answer) -> Option<Waker> {
        let mut entries = self.entries.borrow_mut();
        // Invariant 2.
        let entry = entries.get_mut(&request)?;
        entry.answers.push_back(answer);
        entry.waker.take()
    }

    /// Takes the next answer to a request.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no more answers.
    pub(crate) fn take(&self, request: u64) -> Option<Result<Answer, BrokerError>> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&request);
        if let Some(answer) = entry.and_then(|entry| entry.answers.pop_front()) {
            return Some(Ok(answer));
        }
        self.failure.borrow().clone().map(Err)
    }

    /// Polls for the next answer to a request.
    pub(crate) fn poll(&self, request: u64, cx: &Context<'_>) -> Poll<Result<Answer, BrokerError>> {
        if let Some(result) = self.take(request) {
            return Poll::Ready(result);
        }
        // A clone is user code, and so is the destructor of the old waker.
        let waker = cx.waker().clone();
        let mut entries = self.entries.borrow_mut();
        let old = match entries.get_mut(&request) {
            Some(entry) => entry.waker.replace(waker),
            None => Some(waker),
        };
        drop(entries);
        drop(old);
        Poll::Pending
    }

    /// Removes a request.
    pub(crate) fn remove(&self, request: u64) {
        let removed = self.entries.borrow_mut().remove(&request);
        drop(removed);
    }

    /// Removes a request that holds something from now on.
    pub(crate) fn hold(&self, request: u64) {
        self.remove(request);
        self.held.set(self.held.get() + 1);
    }

    /// Records that a request which held something has ended.
    pub(crate) fn released(&self) {
        self.held.set(self.held.get().saturating_sub(1));
    }

    /// Records that there are no more answers. Returns the wakers of all tasks that wait.
    #[must_use]
    pub(crate) fn fail(&self, error: BrokerError) -> Vec<Waker> {
        self.failure.borrow_mut().get_or_insert(error);
        self.take_wakers()
    }

    /// Returns the wakers of all tasks that wait, so that they poll again.
    #[must_use]
    pub(crate) fn take_wakers(&self) -> Vec<Waker> {
        let mut entries = self.entries.borrow_mut();
        let wakers = entries.values_mut().filter_map(|entry| entry.waker.take());
        wakers.collect()
    }

    pub(crate) fn failure(&self) -> Option<BrokerError> {
        self.failure.borrow().clone()
    }
}

/// Wakes tasks. Their wakers are user code, whose panics are caught.
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        crate::panics::caught(|| waker.wake());
    }
}
