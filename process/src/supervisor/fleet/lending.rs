//! Lending: a slot without a ready worker, or whose worker is silent, is served by a worker of
//! another slot.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Action, Fleet, Slot, WorkerId};

/// How long a worker may take to start before another serves its sockets.
const STARTS_SOON: Duration = Duration::from_millis(100);

impl Fleet {
    /// Lends every slot that has to be lent and is not, and moves the loans of workers that
    /// are silent themselves.
    pub(super) fn lend(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            let is_served = slot.lent_to.is_some_and(|by| self.is_heard(by, now));
            if is_served || !self.needs_lender(slot, now) {
                continue;
            }
            // Another worker that is silent may be heard again sooner than a slot has a worker.
            let may_be_silent = slot.lent_to.is_none() && !slot.is_served();
            let lender = self.lender(now);
            let Some(by) = lender.filter(|&by| may_be_silent || self.is_heard(by, now)) else {
                self.slots[index].lacks_lender = slot.lent_to.is_none();
                continue;
            };
            self.reclaim(index);
            let slot = &mut self.slots[index];
            slot.lent_to = Some(by);
            slot.lacks_lender = false;
            let slot = slot.number;
            self.actions.push_back(Action::Adopt { by, slot });
        }
    }

    /// Returns when a slot has to be lent, if it is not.
    pub(super) fn lending_deadline(&self, slot: &Slot) -> Option<Instant> {
        // Without a lender there is no deadline: the slot is lent when a worker is ready, or
        // is heard again.
        if slot.lent_to.is_some() || slot.lacks_lender || !self.is_serving() {
            return None;
        }
        match &slot.incumbent {
            Some(member) if member.is_ready() => self.silent_from(member),
            _ if slot.start_at.is_none() => Some(slot.vacant_since + STARTS_SOON),
            _ => None,
        }
    }

    /// Takes a slot back that its own worker serves again.
    pub(super) fn reclaim(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.lacks_lender = false;
        if let Some(by) = slot.lent_to.take() {
            let slot = slot.number;
            self.actions.push_back(Action::Release { by, slot });
        }
    }

    /// Ends the loans to a worker that serves no more.
    pub(super) fn lost_lender(&mut self, id: WorkerId) {
        for slot in &mut self.slots {
            if slot.lent_to == Some(id) {
                slot.lent_to = None;
            }
        }
    }

    fn needs_lender(&self, slot: &Slot, now: Instant) -> bool {
        match &slot.incumbent {
            Some(member) if member.is_ready() => self.is_silent(member, now),
            _ => slot.start_at.is_some() || slot.vacant_since + STARTS_SOON <= now,
        }
    }

    fn is_heard(&self, id: WorkerId, now: Instant) -> bool {
        let mut slots = self.slots.iter();
        let member = slots.find_map(|slot| slot.member(id));
        member.is_some_and(|member| !self.is_silent(member, now))
    }

    /// Returns the ready worker that has the fewest loans, of those that are not silent if
    /// there are any.
    fn lender(&self, now: Instant) -> Option<WorkerId> {
        let loans = |id| {
            self.slots
                .iter()
                .filter(|slot| slot.lent_to == Some(id))
                .count()
        };
        let ready = self
            .slots
            .iter()
            .filter(|slot| slot.is_served() && slot.retiring.is_none())
            .filter_map(|slot| slot.incumbent.as_ref());
        let best = ready.min_by_key(|member| (self.is_silent(member, now), loans(member.id)));
        best.map(|member| member.id)
    }
}
