//! The batch: the slots whose workers are being replaced together.
//!
//! ```text
//!                   all ready and checked          the time to bake has passed
//!   successors start ───────────────────▶ they bake ───────────────────▶ old workers drain
//!          │                                  │
//!          └────────── one fails ─────────────┴──▶ the other successors drain
//! ```
//!
//! # Invariants
//!
//! 1. The slots of the batch are those that have a successor and are not being retired. A
//!    slot leaves the batch when its incumbent dies, as the successor then takes its place.
//! 2. Only successors of the batch are being checked.
//! 3. Successors bake only when all of them are ready, and none is being checked.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::replacement::Reason;
use super::{Action, Fleet, Member, MemberPhase, MemberPosition, Slot, WorkerId};

/// How workers are replaced.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct ReplacementSettings {
    /// How many workers a reload replaces together; 0 means 1.
    pub(in crate::supervisor) parallel: u32,
    /// How long a new worker serves beside the old one.
    pub(in crate::supervisor) bake_time: Duration,
    /// Whether new workers that are ready are checked.
    pub(in crate::supervisor) has_check: bool,
}

#[derive(Debug)]
pub(super) struct Batch {
    reason: Reason,
    /// The successors that are being checked, each with the time at which it has failed.
    checks: Vec<(WorkerId, Option<Instant>)>,
    stage: BatchStage,
}

#[derive(Debug, Clone, Copy)]
enum BatchStage {
    /// Not all successors are ready.
    Starting,
    /// With `None` the successors bake until an event ends that.
    Baking { until: Option<Instant> },
}

impl ReplacementSettings {
    pub(super) fn parallel(&self) -> usize {
        usize::try_from(self.parallel.max(1)).unwrap_or(usize::MAX)
    }
}

impl Fleet {
    /// Handles the result of [`Action::Check`].
    pub(in crate::supervisor) fn on_checked(
        &mut self,
        id: WorkerId,
        result: Result<(), String>,
        now: Instant,
    ) {
        let Some(batch) = &mut self.replacements.batch else {
            return;
        };
        let Some(found) = batch.checks.iter().position(|&(checked, _)| checked == id) else {
            return;
        };
        batch.checks.remove(found);
        if let Err(error) = result {
            self.check_failed(id, error, now);
        }
        self.advance(now);
    }

    /// Starts a successor in each of these slots.
    pub(super) fn begin_batch(&mut self, reason: Reason, slots: &[usize], now: Instant) {
        for &index in slots {
            self.slots[index].successor = Some(self.start(index, now));
        }
        self.replacements.batch = Some(Batch {
            reason,
            checks: Vec::new(),
            stage: BatchStage::Starting,
        });
    }

    /// Handles a successor that has become ready: it is checked, or takes the place of an
    /// incumbent that does not serve.
    pub(super) fn successor_ready(&mut self, index: usize, id: WorkerId, now: Instant) {
        let slot = &mut self.slots[index];
        slot.is_open = true;
        if slot.retiring.is_some() || !slot.is_served() {
            return self.promote(index, now);
        }
        if let Some(batch) = &mut self.replacements.batch
            && self.settings.replacement.has_check
        {
            let at = now.checked_add(self.settings.startup);
            batch.checks.push((id, at));
            self.actions.push_back(Action::Check { id });
        }
    }

    /// Takes the next step of the batch. Returns whether there still is one.
    pub(super) fn advance_batch(&mut self, now: Instant) -> bool {
        // Scaling may have begun to retire slots of the batch.
        self.end_checks();
        let Some(batch) = &mut self.replacements.batch else {
            return false;
        };
        let members = || self.slots.iter().filter(|slot| is_in_batch(slot));
        if members().next().is_none() {
            self.replacements.batch = None;
            return false;
        }
        let is_ready = |slot: &Slot| slot.successor.as_ref().is_some_and(Member::is_ready);
        if !batch.checks.is_empty() || !members().all(is_ready) {
            return true;
        }
        let time = self.settings.replacement.bake_time;
        match batch.stage {
            BatchStage::Starting if time.is_zero() => {}
            BatchStage::Starting => {
                let until = now.checked_add(time);
                batch.stage = BatchStage::Baking { until };
                let slots = members().map(|slot| slot.number).collect();
                self.actions.push_back(Action::Bakes { slots, time });
                return true;
            }
            BatchStage::Baking { until } if until.is_some_and(|until| until <= now) => {}
            BatchStage::Baking { .. } => return true,
        }
        self.complete_batch(now);
        false
    }

    /// Puts all successors of the batch in the places of their incumbents.
    fn complete_batch(&mut self, now: Instant) {
        let Some(batch) = self.replacements.batch.take() else {
            return;
        };
        for index in 0..self.slots.len() {
            if is_in_batch(&self.slots[index]) {
                self.promote(index, now);
                if batch.reason != Reason::Pass {
                    let slot = self.slots[index].number;
                    let result = Ok(());
                    self.actions.push_back(Action::Replaced { slot, result });
                }
            }
        }
    }

    /// Ends the batch: its old workers stay, and its successors drain. Returns why they were
    /// started.
    pub(super) fn abandon_batch(&mut self, now: Instant) -> Option<Reason> {
        let reason = self.replacements.batch.as_ref()?.reason;
        for index in 0..self.slots.len() {
            if is_in_batch(&self.slots[index])
                && let Some(member) = self.slots[index].successor.take()
            {
                self.start_draining(index, member, now);
            }
        }
        self.end_checks();
        self.replacements.batch = None;
        Some(reason)
    }

    /// Puts a successor in the place of its incumbent, which drains if it is there.
    pub(super) fn promote(&mut self, index: usize, now: Instant) {
        let slot = &mut self.slots[index];
        let Some(successor) = slot.successor.take() else {
            return;
        };
        let is_ready = successor.is_ready();
        if let Some(old) = slot.incumbent.replace(successor) {
            self.start_draining(index, old, now);
        }
        if is_ready {
            self.retire_later(index, now);
            self.reclaim(index);
        }
    }

    /// Handles a worker that was killed, or given up if it is a thread: a successor has
    /// failed, and an incumbent leaves its place to a successor that serves.
    pub(super) fn lost(&mut self, index: usize, id: WorkerId, how: &str, now: Instant) {
        let slot = &mut self.slots[index];
        let number = slot.number;
        match slot.position(id) {
            Some(MemberPosition::Successor) => {
                self.successor_failed(index, id, &format!("the new worker {how}"), now);
            }
            Some(MemberPosition::Incumbent) => {
                let was_starting = slot
                    .member(id)
                    .is_some_and(|member| member.phase == MemberPhase::Starting);
                if slot.successor.as_ref().is_some_and(Member::is_ready) {
                    self.promote(index, now);
                } else if !self.settings.can_kill {
                    let why = format!("worker {number} {how}, and a thread cannot be killed");
                    self.failed_restart(number, WorkerId(u64::MAX), &why);
                } else if was_starting {
                    self.failed_restart(number, id, &format!("worker {number} {how}"));
                }
            }
            Some(MemberPosition::Leaving) | None => {}
        }
    }

    /// Returns when the next check has failed, or the successors have baked.
    pub(super) fn batch_deadline(&self) -> Option<Instant> {
        // The successors of a fleet that stops drain, and are no successors any more.
        let running = (!self.is_stopping()).then_some(&self.replacements);
        let batch = running?.batch.as_ref()?;
        let checks = batch.checks.iter().filter_map(|&(_, at)| at);
        let baked = match batch.stage {
            BatchStage::Starting => None,
            BatchStage::Baking { until } => until,
        };
        checks.chain(baked).min()
    }

    /// Handles a check that has taken too long.
    pub(super) fn tick_checks(&mut self, now: Instant) {
        let Some(batch) = &mut self.replacements.batch else {
            return;
        };
        let is_late = |&(_, at): &(WorkerId, Option<Instant>)| at.is_some_and(|at| at <= now);
        if let Some(late) = batch.checks.iter().position(is_late) {
            let (id, _) = batch.checks.remove(late);
            self.actions.push_back(Action::EndCheck { id });
            self.check_failed(id, "it took too long".to_owned(), now);
        }
    }

    /// Ends the checks of workers that are no successors any more.
    pub(super) fn end_checks(&mut self) {
        let Some(batch) = &mut self.replacements.batch else {
            return;
        };
        if batch.checks.is_empty() {
            return;
        }
        let slots = &self.slots;
        let is_member = |id: WorkerId| {
            let mut members = slots.iter().filter(|slot| is_in_batch(slot));
            members.any(|slot| slot.position(id) == Some(MemberPosition::Successor))
        };
        for (id, _) in batch.checks.extract_if(.., |(id, _)| !is_member(*id)) {
            self.actions.push_back(Action::EndCheck { id });
        }
    }

    fn check_failed(&mut self, id: WorkerId, error: String, now: Instant) {
        let Some((index, MemberPosition::Successor)) = self.find(id) else {
            return;
        };
        let why = format!("the check of the new worker failed: {error}");
        self.actions.push_back(Action::CheckFailed { id, error });
        self.successor_failed(index, id, &why, now);
    }

    /// Handles a successor that has failed and still runs: it drains.
    pub(super) fn successor_failed(&mut self, index: usize, id: WorkerId, why: &str, now: Instant) {
        if let Some(member) = self.slots[index].successor.take() {
            self.start_draining(index, member, now);
        }
        self.replacement_failed(index, id, why, now);
    }
}

fn is_in_batch(slot: &Slot) -> bool {
    slot.successor.is_some() && slot.retiring.is_none()
}
