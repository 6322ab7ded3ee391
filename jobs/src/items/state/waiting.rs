//! The requests that wait.

use std::collections::VecDeque;

use super::{AtMost, Granted, State};
use crate::services::SessionId;

/// A request with items for which there is no room.
#[derive(Debug)]
pub(super) struct Putter {
    pub(super) bodies: VecDeque<Vec<u8>>,
}

/// A request for items.
#[derive(Debug)]
pub(super) struct Getter {
    pub(super) session: SessionId,
    pub(super) max: AtMost,
}

/// What became of a request that has waited.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::items) enum Outcome {
    /// The items were put, or all items were confirmed.
    Done,
    Got(Vec<Granted>),
    Closed,
}

impl State {
    /// Takes the outcome of a request that waits, if it has one.
    pub(in crate::items) fn take(&mut self, waiter: u64) -> Option<Outcome> {
        self.outcomes.remove(&waiter)
    }

    /// Ends a request that waits. Items that were granted to it come back.
    pub(in crate::items) fn cancel(&mut self, waiter: u64, session: SessionId) {
        if let Some(Outcome::Got(granted)) = self.outcomes.remove(&waiter) {
            for granted in granted {
                self.give_back(session, granted.lease);
            }
            return;
        }
        self.putters.remove(&waiter);
        self.getters.remove(&waiter);
        self.joiners.remove(&waiter);
        self.settle();
    }

    /// Returns the requests that have an outcome since the last call.
    pub(in crate::items) fn take_woken(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.woken)
    }

    /// Takes the outcome of a request that has just begun. It needs not be woken.
    pub(super) fn take_at_once(&mut self, waiter: u64) -> Option<Outcome> {
        let outcome = self.outcomes.remove(&waiter)?;
        self.woken.retain(|&woken| woken != waiter);
        Some(outcome)
    }

    /// Gives the requests that wait what they can have, in order.
    pub(super) fn settle(&mut self) {
        loop {
            self.let_in();
            if self.items.is_empty() {
                break;
            }
            let Some((waiter, getter)) = self.getters.pop_first() else {
                break;
            };
            let granted = self.grant(getter.session, getter.max);
            self.resolve(waiter, Outcome::Got(granted));
        }
        if self.is_closed {
            for waiter in std::mem::take(&mut self.putters).into_keys() {
                self.resolve(waiter, Outcome::Closed);
            }
        }
        if self.items.is_empty() && self.is_finished() {
            for waiter in std::mem::take(&mut self.getters).into_keys() {
                self.resolve(waiter, Outcome::Closed);
            }
        }
        if self.items.is_empty() && self.leases.is_empty() && self.putters.is_empty() {
            for joiner in std::mem::take(&mut self.joiners) {
                self.resolve(joiner, Outcome::Done);
            }
        }
    }

    /// Moves items for which there is room now.
    fn let_in(&mut self) {
        while !self.is_closed
            && let Some(mut first) = self.putters.first_entry()
        {
            let bodies = &mut first.get_mut().bodies;
            if self.items.len() < self.capacity
                && let Some(body) = bodies.pop_front()
            {
                self.add(body);
            } else if bodies.is_empty() {
                let waiter = *first.key();
                first.remove();
                self.resolve(waiter, Outcome::Done);
            } else {
                return;
            }
        }
    }

    fn resolve(&mut self, waiter: u64, outcome: Outcome) {
        self.outcomes.insert(waiter, outcome);
        self.woken.push(waiter);
    }
}
