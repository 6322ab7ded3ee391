//! What is due: who was to be ready, to say something or to have ended by now, and is
//! replaced or killed.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Fleet, Member, Phase, Slot, Why, WorkerId};

/// A master that comes so much later than it wanted was stopped, as its workers
/// may have been.
const LATE: Duration = Duration::from_secs(1);

impl Fleet {
    /// When to call [`tick`](Fleet::tick) at the latest.
    pub(in crate::supervisor) fn next_deadline(&self) -> Option<Instant> {
        let of_slot = |slot: &Slot| {
            let members = slot.members().filter_map(|member| self.deadline(member));
            let retiring = slot.retiring.map(|retiring| retiring.look_at);
            let lending = self.lending_deadline(slot);
            members
                .chain(slot.start_at)
                .chain(retiring)
                .chain(lending)
                .min()
        };
        self.slots.iter().filter_map(of_slot).min()
    }

    /// Does what is due.
    pub(in crate::supervisor) fn tick(&mut self, now: Instant) {
        if self
            .next_deadline()
            .is_some_and(|at| now.duration_since(at) > LATE)
        {
            // The master did not run, and heard nobody.
            for slot in &mut self.slots {
                for member in slot.incumbent.iter_mut().chain(&mut slot.successor) {
                    member.heard = now;
                }
            }
        }
        for index in 0..self.slots.len() {
            let due: Vec<WorkerId> = self.slots[index]
                .members()
                .filter(|member| self.deadline(member).is_some_and(|at| at <= now))
                .map(|member| member.id)
                .collect();
            for id in due {
                self.overdue(index, id, now);
            }
            let slot = &mut self.slots[index];
            if slot.start_at.is_some_and(|at| at <= now) {
                slot.start_at = None;
                slot.restarts += 1;
                self.start_incumbent(index, now);
            }
            self.look_at_queue(index, now);
        }
        self.settle(now);
    }

    /// What a member has to do by when, or is made to.
    fn deadline(&self, member: &Member) -> Option<Instant> {
        if member.is_killed {
            return None;
        }
        match member.phase {
            Phase::Starting => member.started.checked_add(self.settings.startup),
            Phase::Ready { .. } => {
                let heartbeat = self.settings.heartbeat;
                let silent = heartbeat.and_then(|silence| member.heard.checked_add(silence));
                silent.into_iter().chain(member.retires).min()
            }
            Phase::Leaving { deadline } => Some(deadline),
        }
    }

    fn overdue(&mut self, index: usize, id: WorkerId, now: Instant) {
        let heartbeat = self.settings.heartbeat;
        let Some(member) = self.slots[index].member_mut(id) else {
            return;
        };
        let why = match member.phase {
            Phase::Starting => Why::NeverReady,
            Phase::Leaving { .. } => Why::Deadline,
            Phase::Ready { .. } => {
                let is_silent = heartbeat.is_some_and(|silence| member.heard + silence <= now);
                if !is_silent {
                    member.retires = None;
                    self.replace(index);
                    return;
                }
                Why::Silent
            }
        };
        self.kill(index, id, why);
    }
}
