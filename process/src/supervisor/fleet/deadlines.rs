//! Deadlines: a worker that is not ready, is silent, or has not ended in time is killed; one
//! that has reached its maximum age is replaced.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Fleet, KillReason, Member, MemberPhase, MemberPosition, Slot, WorkerId};

/// A master that is this late for a deadline was stopped for a while, and perhaps its workers
/// were too: a debugger has stopped it, or the machine was suspended.
const LATE: Duration = Duration::from_secs(1);

impl Fleet {
    /// Returns when to call [`tick`](Fleet::tick) at the latest.
    pub(in crate::supervisor) fn next_deadline(&self) -> Option<Instant> {
        let of_slot = |slot: &Slot| {
            let members = slot.members().filter_map(|member| self.deadline(member));
            let retiring = slot.retiring.map(|retiring| retiring.check_at);
            let lending = self.lending_deadline(slot);
            members
                .chain(slot.start_at)
                .chain(retiring)
                .chain(lending)
                .min()
        };
        let slots = self.slots.iter().filter_map(of_slot);
        slots
            .chain(self.batch_deadline())
            .chain(self.delay_deadline())
            .min()
    }

    /// Called when the master runs again that wanted to run at `due`, before it handles anything
    /// else: an event can change the next deadline. If the master is late, it could not receive
    /// messages, and the workers get the time again that they may take for one, or to start.
    pub(in crate::supervisor) fn woke(&mut self, due: Instant, now: Instant) {
        let late = now.duration_since(due);
        if late <= LATE {
            return;
        }
        for slot in &mut self.slots {
            for member in slot.incumbent.iter_mut().chain(&mut slot.successor) {
                member.last_message = now;
                member.started = member.started.checked_add(late).unwrap_or(now);
            }
        }
    }

    /// Handles all deadlines that have passed.
    pub(in crate::supervisor) fn tick(&mut self, now: Instant) {
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
            self.check_queue(index, now);
        }
        self.tick_checks(now);
        self.end_delay(now);
        self.advance(now);
    }

    /// Returns when a worker has to have taken its next step.
    fn deadline(&self, member: &Member) -> Option<Instant> {
        if member.is_killed {
            return None;
        }
        match member.phase {
            MemberPhase::Starting => member.started.checked_add(self.settings.startup),
            MemberPhase::Ready { .. } => {
                let silent = self.silence_deadline(member);
                silent.into_iter().chain(member.retires).min()
            }
            MemberPhase::Leaving { deadline } => deadline,
        }
    }

    /// Returns when the next message of the worker has to have come.
    fn silence_deadline(&self, member: &Member) -> Option<Instant> {
        let silence = self.settings.heartbeat?;
        member.last_message.checked_add(silence)
    }

    /// Returns from when on the worker counts as silent: it sends four heartbeats in the time
    /// after which it is killed, and one has not come by the time of the next.
    pub(super) fn silent_from(&self, member: &Member) -> Option<Instant> {
        let silence = self.settings.heartbeat?;
        member.last_message.checked_add(silence / 2)
    }

    pub(super) fn is_silent(&self, member: &Member, now: Instant) -> bool {
        self.silent_from(member).is_some_and(|from| from <= now)
    }

    fn overdue(&mut self, index: usize, id: WorkerId, now: Instant) {
        let Some(member) = self.slots[index].member(id) else {
            return;
        };
        let is_silent = self.silence_deadline(member).is_some_and(|at| at <= now);
        let why = match member.phase {
            MemberPhase::Starting => KillReason::NeverReady,
            MemberPhase::Leaving { .. } => KillReason::Deadline,
            MemberPhase::Ready { .. } if is_silent => KillReason::Silent,
            MemberPhase::Ready { .. } => return self.retire(index, id),
        };
        self.kill(index, id, why);
        self.lost(index, id, why.text(), now);
    }

    /// Kills a worker that drains, and has far more memory than a worker may have.
    pub(in crate::supervisor) fn too_large(&mut self, id: WorkerId, now: Instant) {
        if let Some((index, MemberPosition::Leaving)) = self.find(id) {
            self.kill(index, id, KillReason::TooLarge);
        }
        self.advance(now);
    }

    /// Queues the replacement of a worker that has reached its maximum age.
    fn retire(&mut self, index: usize, id: WorkerId) {
        if let Some(member) = self.slots[index].member_mut(id) {
            member.retires = None;
        }
        self.queue_replacement(index, id);
    }

    /// Returns when a worker that is ready at `now` has reached its maximum age.
    pub(super) fn retirement(&mut self, now: Instant) -> Option<Instant> {
        let age = self.settings.max_age?;
        // A tenth at most is taken off, so that workers do not retire all at once.
        now.checked_add(age.saturating_sub(age.mul_f64(self.random.f64() / 10.0)))
    }

    /// Sets the time at which the worker of a slot is replaced for its age, if it has none:
    /// it has just become ready, or it was queued for its age and has left the queue without
    /// being replaced.
    pub(super) fn retire_later(&mut self, index: usize, now: Instant) {
        let retirement = self.retirement(now);
        let slot = self.slots.get_mut(index);
        let Some(member) = slot.and_then(|slot| slot.incumbent.as_mut()) else {
            return;
        };
        if matches!(member.phase, MemberPhase::Ready { .. }) && member.retires.is_none() {
            member.retires = retirement;
        }
    }
}
