//! [`Admission`], the connections that have not proved that they have the key. It does no I/O.
//!
//! There is a place for a limited number of them. When all are taken, a new connection takes the
//! place of another one. If connections that come were refused or waited instead, a peer that
//! opens many would keep all others out. Which one has to go:
//!
//! 1. one of the source that has the most places, so that a flood from one address closes its own
//!    connections, and no others;
//! 2. of these, one whose handshake has failed, which keeps its place only so that the failure is
//!    answered late;
//! 3. of the others, one at random. An honest client of the same address finishes within a few
//!    round trips, in which it is unlikely to be chosen. The oldest would be a bad choice: a
//!    flood that is fast enough would close each honest connection with certainty.

use std::cell::Cell;
use std::rc::Rc;

use crate::connection::Source;

/// The connections that have not proved that they have the key. `H` is what closes one.
pub(crate) struct Admission<H> {
    limit: usize,
    places: Vec<Place<H>>,
    next: u64,
}

struct Place<H> {
    ticket: u64,
    source: Source,
    has_failed: Rc<Cell<bool>>,
    handle: H,
}

impl<H> Admission<H> {
    /// Creates places for `limit` connections, at least one.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            places: Vec::new(),
            next: 0,
        }
    }

    /// Gives a connection a place, and returns its ticket, and what closes the connection that
    /// had the place before. `random` returns a number below its argument.
    pub(crate) fn admit(
        &mut self,
        source: Source,
        has_failed: Rc<Cell<bool>>,
        random: impl FnOnce(usize) -> usize,
        handle: impl FnOnce(u64) -> H,
    ) -> Option<H> {
        let closed = if self.places.len() >= self.limit {
            let victim = self.victim(random);
            Some(self.places.swap_remove(victim).handle)
        } else {
            None
        };
        let ticket = self.next;
        self.next += 1;
        self.places.push(Place {
            ticket,
            source,
            has_failed,
            handle: handle(ticket),
        });
        closed
    }

    /// Frees the place of a connection, if it still has one.
    pub(crate) fn leave(&mut self, ticket: u64) {
        let place = self.places.iter().position(|place| place.ticket == ticket);
        if let Some(place) = place {
            self.places.swap_remove(place);
        }
    }

    /// Frees all places, and returns what closes the connections.
    pub(crate) fn clear(&mut self) -> Vec<H> {
        let places = std::mem::take(&mut self.places);
        places.into_iter().map(|place| place.handle).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the index of the connection that has to go.
    fn victim(&self, random: impl FnOnce(usize) -> usize) -> usize {
        // There are few places, and in a flood few sources.
        let mut counts: Vec<(Source, usize)> = Vec::new();
        for place in &self.places {
            match counts
                .iter_mut()
                .find(|(source, _)| *source == place.source)
            {
                Some((_, count)) => *count += 1,
                None => counts.push((place.source, 1)),
            }
        }
        let most = counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
        counts.retain(|&(_, count)| count == most);
        let is_greedy = |place: &Place<H>| counts.iter().any(|(source, _)| *source == place.source);
        let greedy = self.places.iter().enumerate();
        let mut greedy: Vec<_> = greedy.filter(|(_, place)| is_greedy(place)).collect();
        if greedy.iter().any(|(_, place)| place.has_failed.get()) {
            greedy.retain(|(_, place)| place.has_failed.get());
        }
        let chosen = random(greedy.len().max(1));
        greedy.get(chosen).map_or(0, |&(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, Cell, Rc, Source};

    const FLOOD: Source = Source::V4([192, 0, 2, 1]);
    const HONEST: Source = Source::V4([192, 0, 2, 2]);

    fn healthy() -> Rc<Cell<bool>> {
        Rc::default()
    }

    #[test]
    fn a_flood_from_one_source_closes_its_own_connections() {
        let mut admission = Admission::new(64);
        let mut random = fastrand::Rng::with_seed(1);
        let honest = admission.admit(HONEST, healthy(), |_| 0, |ticket| (HONEST, ticket));
        assert_eq!(honest, None);
        for _ in 0..2_000 {
            let closed = admission.admit(
                FLOOD,
                healthy(),
                |below| random.usize(..below),
                |ticket| (FLOOD, ticket),
            );
            assert!(closed.is_none_or(|(source, _)| source == FLOOD));
            assert!(admission.len() <= 64);
        }
        assert!(admission.clear().contains(&(HONEST, 0)));
    }

    #[test]
    fn connections_that_have_failed_go_first() {
        let mut admission = Admission::new(4);
        let failed = healthy();
        for number in 0..4 {
            let state = if number == 2 {
                Rc::clone(&failed)
            } else {
                healthy()
            };
            admission.admit(FLOOD, state, |_| 0, |ticket| ticket);
        }
        failed.set(true);
        let closed = admission.admit(FLOOD, healthy(), |below| below - 1, |ticket| ticket);
        assert_eq!(closed, Some(2));
    }

    /// An honest client whose handshake takes as long as 20 connections of a flood of the same
    /// address is closed in less than half of the cases.
    #[test]
    fn a_client_of_the_same_source_as_a_flood_has_a_chance() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut survived = 0;
        for _ in 0..300 {
            let mut admission = Admission::new(64);
            let mut closed = Vec::new();
            for number in 0..200 {
                let choose = |below| random.usize(..below);
                closed.extend(admission.admit(FLOOD, healthy(), choose, |ticket| ticket));
                if number == 120 {
                    admission.leave(100);
                    survived += usize::from(!closed.contains(&100));
                }
            }
        }
        assert!(survived > 180, "{survived} of 300");
    }

    #[test]
    fn a_place_is_freed_once() {
        let mut admission = Admission::new(2);
        admission.admit(FLOOD, healthy(), |_| 0, |ticket| ticket);
        admission.leave(0);
        admission.leave(0);
        assert_eq!(admission.len(), 0);
        admission.admit(FLOOD, healthy(), |_| 0, |ticket| ticket);
        assert_eq!(admission.clear(), [1]);
    }
}
