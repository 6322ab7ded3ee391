//! [`Keys`] and [`Outcomes`], what a queue knows of jobs for a day after they were pushed or have
//! ended.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::Time;
use crate::engine::Outcome;

/// How long keys and outcomes are kept.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys of jobs.
#[derive(Debug)]
pub(super) struct Keys {
    jobs: HashMap<Rc<str>, u64>,
    /// The keys, the oldest one first.
    order: VecDeque<(Time, Rc<str>)>,
    max: usize,
}

impl Keys {
    pub(super) fn new(max: usize) -> Self {
        Self {
            jobs: HashMap::new(),
            order: VecDeque::new(),
            max,
        }
    }

    /// Returns the number of the job that has this key.
    pub(super) fn get(&self, key: &str) -> Option<u64> {
        self.jobs.get(key).copied()
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, now: Time, key: &str, number: u64) {
        let key: Rc<str> = Rc::from(key);
        self.jobs.insert(Rc::clone(&key), number);
        self.order.push_back((now, key));
        while self.order.len() > self.max {
            self.pop();
        }
    }

    pub(super) fn forget(&mut self, now: Time) {
        while let Some((time, _)) = self.order.front()
            && *time + DAY <= now
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.jobs.remove(&key);
        }
    }
}

/// The outcomes of jobs that are not in the queue any more.
#[derive(Debug)]
pub(super) struct Outcomes {
    outcomes: HashMap<u64, Outcome>,
    /// The jobs, the one that ended first at the front.
    order: VecDeque<(Time, u64)>,
    bytes: usize,
    max: usize,
    max_bytes: usize,
}

impl Outcomes {
    pub(super) fn new(max: usize, max_bytes: usize) -> Self {
        Self {
            outcomes: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            max,
            max_bytes,
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Outcome> {
        self.outcomes.get(&number)
    }

    pub(super) fn insert(&mut self, now: Time, number: u64, outcome: Outcome) {
        self.bytes += length(&outcome);
        self.outcomes.insert(number, outcome);
        self.order.push_back((now, number));
        // The new one stays, even if it alone is longer than all may be.
        while self.order.len() > 1 && (self.order.len() > self.max || self.bytes > self.max_bytes) {
            self.pop();
        }
    }

    pub(super) fn forget(&mut self, now: Time) {
        while let Some((time, _)) = self.order.front()
            && *time + DAY <= now
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, number)) = self.order.pop_front()
            && let Some(outcome) = self.outcomes.remove(&number)
        {
            self.bytes -= length(&outcome);
        }
    }
}

fn length(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Done(result) => result.len(),
        Outcome::Dead(error) => error.len(),
    }
}
