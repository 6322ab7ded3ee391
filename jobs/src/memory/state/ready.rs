//! [`Ready`], the jobs that may be leased, by their functions.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::rc::Rc;

use crate::engine::Function;

/// The jobs that may be leased. A function without such jobs has no entry.
#[derive(Debug, Default)]
pub(super) struct Ready {
    functions: HashMap<Rc<Function>, BTreeSet<u64>>,
    count: usize,
}

impl Ready {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn has(&self, function: &Function) -> bool {
        self.functions.contains_key(function)
    }

    pub(super) fn insert(&mut self, function: &Rc<Function>, number: u64) {
        let numbers = self.functions.entry(Rc::clone(function)).or_default();
        if numbers.insert(number) {
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, function: &Function, number: u64) {
        let Some(numbers) = self.functions.get_mut(function) else {
            return;
        };
        if numbers.remove(&number) {
            self.count -= 1;
        }
        if numbers.is_empty() {
            self.functions.remove(function);
        }
    }

    /// Returns the first jobs of some functions, at most `max`, the oldest one first.
    pub(super) fn first(&self, functions: &[Function], max: usize) -> Vec<u64> {
        // The next job of each function that has one.
        let mut next = BinaryHeap::new();
        let mut rest: Vec<_> = functions
            .iter()
            .filter_map(|function| self.functions.get(function))
            .map(BTreeSet::iter)
            .collect();
        for (index, numbers) in rest.iter_mut().enumerate() {
            next.extend(numbers.next().map(|number| Reverse((*number, index))));
        }
        let mut first = Vec::new();
        while first.len() < max
            && let Some(Reverse((number, index))) = next.pop()
        {
            // A function may be in the list twice.
            if first.last() != Some(&number) {
                first.push(number);
            }
            next.extend(rest[index].next().map(|number| Reverse((*number, index))));
        }
        first
    }
}
