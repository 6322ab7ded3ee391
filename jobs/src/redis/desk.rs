//! [`Desk`], what a reader knows: the calls that wait for jobs, the jobs that no call has taken
//! yet, and the entries that this worker has. It does no I/O and reads no clock.
//!
//! # Invariants
//!
//! 1. `room` is what the waiting calls can take beyond the jobs that are ready. The reader reads
//!    no more than that.
//! 2. An entry is known from its arrival until it was finished, failed or given back, or until
//!    its lease has ended without a renewal, by this machine's clock. An entry whose lease has not
//!    ended by the server's clock, that the server has under the name of this reader, and that is
//!    not known, came in an answer that was lost.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::entry::Entry;
use crate::engine::Leased;
use crate::error::Error;

/// An entry, and the place of its stream among the reader's.
pub(super) type Known = (usize, Entry);

/// A job that has arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) known: Known,
    pub(super) job: Leased,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The numbers of the waiting calls, and how many jobs each can take.
    calls: Vec<(u64, usize)>,
    next_call: u64,
    ready: VecDeque<(Instant, Arrival)>,
    known: HashMap<Known, Instant>,
    /// The last failure, and how many there were.
    failure: (u64, Option<Error>),
    /// Since when no call waits.
    idle_since: Option<Instant>,
}

impl Desk {
    /// Adds a call that waits for at most `max` jobs. Returns its number.
    pub(super) fn enter(&mut self, max: usize) -> u64 {
        self.next_call += 1;
        self.calls.push((self.next_call, max));
        self.idle_since = None;
        self.next_call
    }

    /// Removes a call.
    pub(super) fn leave(&mut self, call: u64, now: Instant) {
        self.calls.retain(|(number, _)| *number != call);
        if self.calls.is_empty() {
            self.idle_since = Some(now);
        }
    }

    /// Returns for how long no call has waited; `None` while one does.
    pub(super) fn idle(&self, now: Instant) -> Option<Duration> {
        if !self.calls.is_empty() {
            return None;
        }
        let since = self.idle_since?;
        Some(now.saturating_duration_since(since))
    }

    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Returns how many jobs may be read (invariant 1).
    pub(super) fn room(&self) -> usize {
        let wanted = self
            .calls
            .iter()
            .fold(0_usize, |sum, (_, max)| sum.saturating_add(*max));
        wanted.saturating_sub(self.ready.len())
    }

    /// Adds jobs whose leases have begun just now. Returns the entries for which there was no
    /// room, which are to be given back.
    pub(super) fn add(&mut self, arrivals: Vec<Arrival>, room: usize, now: Instant) -> Vec<Known> {
        let mut surplus = Vec::new();
        for (index, arrival) in arrivals.into_iter().enumerate() {
            if index < room {
                self.known.insert(arrival.known, now);
                self.ready.push_back((now, arrival));
            } else {
                surplus.push(arrival.known);
            }
        }
        surplus
    }

    /// Takes at most `max` jobs that are ready.
    pub(super) fn take(&mut self, max: usize) -> Vec<Leased> {
        let count = max.min(self.ready.len());
        self.ready
            .drain(..count)
            .map(|(_, arrival)| arrival.job)
            .collect()
    }

    /// Takes the entries of ready jobs that arrived at least `age` ago, which are to be given
    /// back.
    pub(super) fn take_old(&mut self, age: Duration, now: Instant) -> Vec<Known> {
        let is_old = |since: &Instant| now.saturating_duration_since(*since) >= age;
        let mut old = Vec::new();
        while self.ready.front().is_some_and(|(since, _)| is_old(since)) {
            if let Some((_, arrival)) = self.ready.pop_front() {
                self.known.remove(&arrival.known);
                old.push(arrival.known);
            }
        }
        old
    }

    /// Takes the entries of all ready jobs, which are to be given back.
    pub(super) fn take_all(&mut self) -> Vec<Known> {
        let ready = self.ready.drain(..);
        let all: Vec<_> = ready.map(|(_, arrival)| arrival.known).collect();
        for known in &all {
            self.known.remove(known);
        }
        all
    }

    /// Returns when the oldest ready job arrived.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.ready.front().map(|(since, _)| *since)
    }

    /// Notes that the lease of an entry was renewed. The server may renew one that has ended by
    /// this machine's clock, and that was forgotten.
    pub(super) fn renewed(&mut self, known: Known, now: Instant) {
        self.known.insert(known, now);
    }

    /// Notes that this worker no longer has an entry.
    pub(super) fn forget(&mut self, known: Known) {
        self.known.remove(&known);
    }

    /// Forgets the entries whose leases have ended (invariant 2).
    pub(super) fn forget_ended(&mut self, lease: Duration, now: Instant) {
        self.known
            .retain(|_, since| now.saturating_duration_since(*since) < lease);
    }

    pub(super) fn knows(&self, known: Known) -> bool {
        self.known.contains_key(&known)
    }

    /// Reports a failure to the waiting calls.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure = (self.failure.0 + 1, Some(error));
    }

    /// Returns how many failures there were.
    pub(super) fn failures(&self) -> u64 {
        self.failure.0
    }

    /// Returns the last failure, if there was one since there were this many.
    pub(super) fn failure_since(&self, failures: u64) -> Option<Error> {
        let (count, error) = &self.failure;
        error.clone().filter(|_| *count > failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Function, JobId};

    const LEASE: Duration = Duration::from_secs(3);

    fn arrival(sequence: usize) -> Arrival {
        let text = format!("1-{sequence}");
        Arrival {
            known: (0, text.parse().unwrap()),
            job: Leased {
                id: JobId(text.clone()),
                function: Function {
                    name: "send".to_owned(),
                    version: 1,
                },
                payload: Vec::new(),
                attempt: 1,
                lease: text,
            },
        }
    }

    fn arrivals(range: std::ops::Range<usize>) -> Vec<Arrival> {
        range.map(arrival).collect()
    }

    #[test]
    fn the_room_is_what_waiting_calls_can_take() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert_eq!(desk.room(), 0);
        let first = desk.enter(2);
        let _second = desk.enter(3);
        assert_eq!(desk.room(), 5);
        assert!(desk.add(arrivals(0..4), 5, now).is_empty());
        assert_eq!(desk.room(), 1);
        assert_eq!(desk.take(2).len(), 2);
        desk.leave(first, now);
        assert_eq!(desk.room(), 1);
        assert_eq!(desk.take(9).len(), 2);
        assert_eq!(desk.room(), 3);
    }

    #[test]
    fn arrivals_beyond_the_room_are_given_back() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.enter(2);
        let surplus = desk.add(arrivals(0..5), 2, now);
        assert_eq!(
            surplus,
            [arrival(2).known, arrival(3).known, arrival(4).known]
        );
        assert!(desk.knows(arrival(1).known));
        assert!(!desk.knows(arrival(2).known));
    }

    #[test]
    fn a_job_that_no_call_takes_is_given_back_in_time() {
        let (mut desk, start) = (Desk::default(), Instant::now());
        let call = desk.enter(3);
        desk.add(arrivals(0..1), 3, start);
        let later = start + LEASE / 3;
        desk.add(arrivals(1..2), 2, later);
        desk.leave(call, later);
        assert_eq!(desk.idle(later + LEASE), Some(LEASE));
        assert_eq!(desk.oldest(), Some(start));
        assert_eq!(desk.take_old(LEASE / 3, later), [arrival(0).known]);
        assert!(!desk.knows(arrival(0).known));
        assert_eq!(desk.take(9).len(), 1);
        assert_eq!(desk.oldest(), None);
    }

    #[test]
    fn an_entry_is_known_while_its_lease_is_renewed() {
        let (mut desk, start) = (Desk::default(), Instant::now());
        desk.enter(3);
        desk.add(arrivals(0..3), 3, start);
        desk.take(3);
        desk.renewed(arrival(0).known, start + LEASE);
        desk.forget(arrival(1).known);
        desk.forget_ended(LEASE, start + LEASE);
        let known = |desk: &Desk| [0, 1, 2].map(|number| desk.knows(arrival(number).known));
        assert_eq!(known(&desk), [true, false, false]);
        // The server had not ended this lease.
        desk.renewed(arrival(2).known, start + LEASE);
        assert_eq!(known(&desk), [true, false, true]);
    }

    #[test]
    fn a_failure_is_for_the_calls_that_waited_then() {
        let mut desk = Desk::default();
        let before = desk.failures();
        assert!(desk.failure_since(before).is_none());
        desk.fail(Error::new(crate::error::Kind::Engine, "no"));
        assert_eq!(desk.failure_since(before).unwrap().to_string(), "no");
        assert!(desk.failure_since(desk.failures()).is_none());
    }
}
