//! Lending: a slot without a ready worker is served by a worker of another slot.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Action, Fleet, Slot, WorkerId};

/// How long a worker may take to start before another serves its sockets.
const STARTS_SOON: Duration = Duration::from_millis(100);

impl Fleet {
    /// Lends every slot that has to be lent and is not.
    pub(super) fn lend(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.lent_to.is_some() || !Self::waits_too_long(slot, now) {
                continue;
            }
            let Some(by) = self.lender() else {
                return;
            };
            let slot = &mut self.slots[index];
            slot.lent_to = Some(by);
            let slot = slot.number;
            self.actions.push_back(Action::Adopt { by, slot });
        }
    }

    /// Returns when a slot has to be lent, if it is not.
    pub(super) fn lending_deadline(&self, slot: &Slot) -> Option<Instant> {
        let at = slot.vacant_since + STARTS_SOON;
        let is_on_the_way = !slot.is_served() && slot.lent_to.is_none() && slot.start_at.is_none();
        // Without a lender there is no deadline: the slot is lent when a worker is ready.
        (is_on_the_way && !self.is_stopping() && self.lender().is_some()).then_some(at)
    }

    /// Takes a slot back that its own worker serves again.
    pub(super) fn reclaim(&mut self, index: usize) {
        let slot = &mut self.slots[index];
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

    fn waits_too_long(slot: &Slot, now: Instant) -> bool {
        if slot.is_served() {
            return false;
        }
        slot.start_at.is_some() || slot.vacant_since + STARTS_SOON <= now
    }

    /// Returns the ready worker that has the fewest loans.
    fn lender(&self) -> Option<WorkerId> {
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
        ready.map(|member| member.id).min_by_key(|&id| loans(id))
    }
}
