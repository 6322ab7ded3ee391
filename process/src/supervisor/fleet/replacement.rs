//! Replacement of serving workers: of all slots, in a pass that a reload begins; or of one
//! slot, whose worker is old, is large or has served enough requests, or which a request
//! names.
//!
//! The slots wait in a queue, from which one [batch](super::batch) after another is taken. A
//! worker with a larger id than its slot was queued with is newer than the reason to replace
//! it, and stays.

use std::collections::VecDeque;
use std::mem;

use coreloop_runtime::time::Instant;

use super::batch::Batch;
use super::{Action, Fleet, MemberPosition, WorkerId};

/// The slots whose workers have to be replaced.
#[derive(Debug, Default)]
pub(super) struct ReplacementQueue {
    queue: VecDeque<Queued>,
    /// The replacements in progress.
    pub(super) batch: Option<Batch>,
    /// How many passes have begun.
    passes: u64,
    is_pass: bool,
    /// Another reload was requested during a pass, when this was the next id.
    again: Option<WorkerId>,
    restarts: Vec<Restart>,
    next_ticket: u64,
}

#[derive(Debug, Clone, Copy)]
struct Queued {
    slot: u32,
    /// Workers with this id or a larger one need not be replaced.
    before: WorkerId,
    reason: Reason,
}

/// Why a worker is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// All workers are replaced.
    Pass,
    /// The worker has reached a limit, such as its maximum age.
    Limit,
    /// A request names the slot.
    Request,
}

/// A request to replace the worker of one slot, which has not been answered yet.
#[derive(Debug)]
struct Restart {
    ticket: u64,
    slot: u32,
    /// The request is answered when a worker with this id or a larger one serves or fails.
    before: WorkerId,
}

impl ReplacementQueue {
    /// Forgets what waits, as the fleet stops. No request is answered.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.is_pass = false;
        self.again = None;
        self.restarts.clear();
    }
}

impl Fleet {
    /// Replaces all workers. Returns the number of the pass, which [`Action::Reloaded`]
    /// will name.
    pub(in crate::supervisor) fn reload(&mut self, now: Instant) -> u64 {
        let before = WorkerId(self.next_id);
        let replacements = &mut self.replacements;
        let pass = if replacements.is_pass {
            replacements.again = Some(before);
            replacements.passes + 1
        } else {
            self.begin_pass(before);
            self.replacements.passes
        };
        self.advance(now);
        pass
    }

    /// Replaces the worker of one slot, which has reached a limit.
    pub(in crate::supervisor) fn recycle(&mut self, slot: u32, now: Instant) {
        let index = slot as usize;
        if let Some(member) = &self.slots[index].incumbent {
            self.queue_replacement(index, member.id);
        }
        self.advance(now);
    }

    /// Handles `Retire`, by which a worker reports that it has served enough requests.
    pub(in crate::supervisor) fn on_retire(&mut self, id: WorkerId, now: Instant) {
        self.message_received(id, now);
        if let Some((index, position)) = self.find(id)
            && position != MemberPosition::Leaving
        {
            self.queue_replacement(index, id);
            self.advance(now);
        }
    }

    /// Replaces the worker of one slot by request, or starts one at once if the slot waits
    /// in back-off. Returns a ticket, which [`Action::Restarted`] will name.
    pub(in crate::supervisor) fn restart(
        &mut self,
        number: u32,
        now: Instant,
    ) -> Result<u64, String> {
        let index = number as usize;
        let last = self.slots.len().saturating_sub(1);
        let slot = self
            .slots
            .get_mut(index)
            .ok_or_else(|| format!("there is no worker {number}: the last one is {last}"))?;
        if slot.retiring.is_some() {
            return Err(format!("worker {number} is being retired"));
        }
        let is_stuck = slot.incumbent.as_ref().is_some_and(|old| old.is_killed);
        if is_stuck && !self.settings.can_kill {
            return Err(format!(
                "worker {number} is stuck, and a thread cannot be killed"
            ));
        }
        let before = WorkerId(self.next_id);
        if slot.start_at.take().is_some() {
            slot.restarts += 1;
            self.start_incumbent(index, now);
        } else {
            self.replacements.queue.push_front(Queued {
                slot: number,
                before,
                reason: Reason::Request,
            });
        }
        let ticket = self.replacements.next_ticket;
        self.replacements.next_ticket += 1;
        self.replacements.restarts.push(Restart {
            ticket,
            slot: number,
            before,
        });
        self.advance(now);
        Ok(ticket)
    }

    /// Returns whether a request to replace the worker of this slot waits for its answer.
    pub(super) fn is_restarting(&self, slot: u32) -> bool {
        let restarts = &self.replacements.restarts;
        restarts.iter().any(|restart| restart.slot == slot)
    }

    /// Answers the requests for which this worker was started, and which it fails.
    pub(super) fn failed_restart(&mut self, slot: u32, id: WorkerId, why: &str) {
        let is_failed = |at: u32, before: WorkerId| at == slot && before <= id;
        let replacements = &mut self.replacements;
        replacements.queue.retain(|queued| {
            queued.reason != Reason::Request || !is_failed(queued.slot, queued.before)
        });
        let failed = replacements
            .restarts
            .extract_if(.., |restart| is_failed(restart.slot, restart.before));
        for Restart { ticket, .. } in failed {
            let result = Err(why.to_owned());
            self.actions.push_back(Action::Restarted { ticket, result });
        }
    }

    /// Answers the requests whose new worker serves, or whose slot is retired.
    pub(super) fn advance_restarts(&mut self) {
        let slots = &self.slots;
        let outcome = |restart: &Restart| {
            let slot = slots.get(restart.slot as usize);
            let Some(slot) = slot.filter(|slot| slot.retiring.is_none()) else {
                return Some(Err(format!("worker {} is being retired", restart.slot)));
            };
            let member = slot.incumbent.as_ref()?;
            (member.id >= restart.before && member.is_ready()).then_some(Ok(()))
        };
        let actions = &mut self.actions;
        self.replacements
            .restarts
            .retain(|restart| match outcome(restart) {
                Some(result) => {
                    let ticket = restart.ticket;
                    actions.push_back(Action::Restarted { ticket, result });
                    false
                }
                None => true,
            });
    }

    /// Queues the replacement of a worker that has reached a limit.
    pub(super) fn queue_replacement(&mut self, index: usize, id: WorkerId) {
        let slot = &self.slots[index];
        let number = slot.number;
        let is_incumbent = slot.incumbent.as_ref().is_some_and(|old| old.id == id);
        let is_in_progress = is_incumbent && slot.successor.is_some();
        let queue = &mut self.replacements.queue;
        let is_queued = |queued: &Queued| queued.slot == number && queued.before > id;
        if !is_in_progress && !queue.iter().any(is_queued) {
            queue.push_back(Queued {
                slot: number,
                before: WorkerId(id.0 + 1),
                reason: Reason::Limit,
            });
        }
    }

    /// Handles a successor that has failed, and is no successor any more: the old workers of
    /// its batch stay.
    pub(super) fn replacement_failed(
        &mut self,
        index: usize,
        id: WorkerId,
        why: &str,
        now: Instant,
    ) {
        let slot = &self.slots[index];
        let number = slot.number;
        if self.is_stopping() || slot.retiring.is_some() {
            return;
        }
        let Some(reason) = self.abandon_batch(now) else {
            return;
        };
        let error = format!("worker {number} was not replaced: {why}");
        self.failed_restart(number, id, &error);
        if reason != Reason::Pass {
            self.actions.push_back(Action::Replaced {
                slot: number,
                result: Err(why.to_owned()),
            });
        }
        if reason != Reason::Request {
            let queue = &mut self.replacements.queue;
            queue.retain(|queued| queued.reason == Reason::Request);
            for index in 0..self.slots.len() {
                self.retire_later(index, now);
            }
            self.end_pass(Err(error));
        }
    }

    /// Starts the successors of the next batch, unless a batch is in progress.
    pub(super) fn start_next_replacement(&mut self, now: Instant) {
        loop {
            if self.advance_batch(now) {
                return;
            }
            self.remove_replaced(now);
            let replacements = &self.replacements;
            let is_of_pass = |queued: &Queued| queued.reason == Reason::Pass;
            if replacements.is_pass && !replacements.queue.iter().any(is_of_pass) {
                self.end_pass(Ok(()));
                continue;
            }
            let Some((reason, slots)) = self.next_batch() else {
                return;
            };
            self.begin_batch(reason, &slots, now);
        }
    }

    /// Removes the slots from the queue whose workers need not be replaced any more.
    fn remove_replaced(&mut self, now: Instant) {
        let (queue, removed) = mem::take(&mut self.replacements.queue)
            .into_iter()
            .partition(|queued| {
                let slot = self.slots.get(queued.slot as usize);
                let slot = slot.filter(|slot| slot.retiring.is_none());
                let member = slot.and_then(|slot| slot.incumbent.as_ref());
                // The next worker after one that is killed or gone is a new one.
                member.is_some_and(|member| member.id < queued.before && !member.is_killed)
            });
        self.replacements.queue = queue;
        let removed: VecDeque<Queued> = removed;
        for queued in removed {
            // A thread that was stuck may run again.
            self.retire_later(queued.slot as usize, now);
        }
    }

    /// Takes the slots of the next batch off the queue. Requests come first, and like slots
    /// that have reached a limit they come alone. A worker that starts may have read the
    /// configuration before the reload was requested, so it waits in the queue until it is
    /// ready.
    fn next_batch(&mut self) -> Option<(Reason, Vec<usize>)> {
        let slots = &self.slots;
        let is_served = |queued: &Queued| slots[queued.slot as usize].is_served();
        let queue = &mut self.replacements.queue;
        let mut ready = queue.iter().filter(|queued| is_served(queued));
        let is_request = |queued: &&Queued| queued.reason == Reason::Request;
        let first = ready.clone().find(is_request).or_else(|| ready.next())?;
        let reason = first.reason;
        let count = match reason {
            Reason::Pass => self.settings.replacement.parallel(),
            Reason::Limit | Reason::Request => 1,
        };
        let mut taken = Vec::new();
        queue.retain(|queued| {
            let is_taken = queued.reason == reason && is_served(queued) && taken.len() < count;
            if is_taken {
                taken.push(queued.slot as usize);
            }
            !is_taken
        });
        Some((reason, taken))
    }

    /// Queues all slots, to replace the workers whose ids are smaller than `before`.
    fn begin_pass(&mut self, before: WorkerId) {
        let replacements = &mut self.replacements;
        replacements.is_pass = true;
        replacements.again = None;
        replacements.passes += 1;
        let queued = self.slots.iter().map(|slot| Queued {
            slot: slot.number,
            before,
            reason: Reason::Pass,
        });
        replacements.queue.extend(queued);
    }

    fn end_pass(&mut self, result: Result<(), String>) {
        if !self.replacements.is_pass {
            return;
        }
        self.replacements.is_pass = false;
        let pass = self.replacements.passes;
        self.actions.push_back(Action::Reloaded { pass, result });
        if let Some(before) = self.replacements.again {
            self.begin_pass(before);
        }
    }
}
