//! [`Queue`], the jobs that wait to be sent.
//!
//! The queue is always sorted: by priority, the highest first, and within a priority by the
//! order of submission. A job that comes back from a worker returns to its place. Only jobs
//! that came back themselves can be before it, because jobs leave from the front, so that
//! this place is near the front.

use std::collections::BTreeMap;

use slab::Slab;

use super::job::Job;
use super::list::List;

#[derive(Default)]
pub(super) struct Queue {
    /// The jobs of priority 0, which are most jobs: they need no node of the map.
    ordinary: List,
    /// The jobs of other priorities. No list is empty.
    others: BTreeMap<i32, List>,
    length: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a job that was submitted later than all others.
    pub(super) fn push<J>(&mut self, jobs: &mut Slab<Job<J>>, index: usize) {
        self.list(jobs[index].options.priority)
            .push_back(jobs, index);
        self.length += 1;
    }

    /// Adds a job that comes back from a worker.
    pub(super) fn put_back<J>(&mut self, jobs: &mut Slab<Job<J>>, index: usize) {
        let number = jobs[index].number;
        let list = self.list(jobs[index].options.priority);
        let next = list.iter(jobs).find(|&other| jobs[other].number > number);
        list.insert_before(jobs, index, next);
        self.length += 1;
    }

    /// Returns the job that is sent next.
    pub(super) fn first(&self) -> Option<usize> {
        match self.others.last_key_value() {
            Some((&priority, list)) if priority > 0 || self.ordinary.is_empty() => list.first(),
            _ => self.ordinary.first(),
        }
    }

    pub(super) fn remove<J>(&mut self, jobs: &mut Slab<Job<J>>, index: usize) {
        let priority = jobs[index].options.priority;
        let list = self.list(priority);
        list.remove(jobs, index);
        if list.is_empty() && priority != 0 {
            self.others.remove(&priority);
        }
        self.length -= 1;
    }

    fn list(&mut self, priority: i32) -> &mut List {
        match priority {
            0 => &mut self.ordinary,
            _ => self.others.entry(priority).or_default(),
        }
    }
}
