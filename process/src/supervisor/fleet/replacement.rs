//! Replacement of serving workers, one slot after another: of all slots, in a pass that a
//! reload begins, or of one slot whose worker is old or large.

use std::collections::VecDeque;

use coreloop_runtime::time::Instant;

use super::{Action, Fleet, MemberPhase};

/// The slots whose workers have to be replaced.
#[derive(Debug, Default)]
pub(super) struct ReplacementQueue {
    /// The first slot is being replaced.
    queue: VecDeque<u32>,
    /// How many passes have begun.
    passes: u64,
    is_pass: bool,
    /// Another reload was requested during a pass.
    again: bool,
}

impl ReplacementQueue {
    /// Removes a slot that has its new worker.
    pub(super) fn finish(&mut self, slot: u32) {
        self.queue.retain(|&queued| queued != slot);
    }
}

impl Fleet {
    /// Replaces all workers. Returns the number of the pass, which [`Action::Reloaded`]
    /// will name.
    pub(in crate::supervisor) fn reload(&mut self, now: Instant) -> u64 {
        let replacements = &mut self.replacements;
        let pass = if replacements.is_pass {
            replacements.again = true;
            replacements.passes + 1
        } else {
            self.begin_pass();
            self.replacements.passes
        };
        self.advance(now);
        pass
    }

    /// Replaces the worker of one slot.
    pub(in crate::supervisor) fn recycle(&mut self, slot: u32, now: Instant) {
        self.queue_replacement(slot as usize);
        self.advance(now);
    }

    pub(super) fn queue_replacement(&mut self, index: usize) {
        let number = self.slots[index].number;
        if !self.replacements.queue.contains(&number) {
            self.replacements.queue.push_back(number);
        }
    }

    /// Handles a new worker that did not become ready: the old workers stay.
    pub(super) fn replacement_failed(&mut self, index: usize, why: &str, now: Instant) {
        let number = self.slots[index].number;
        if self.is_stopping() {
            return;
        }
        self.replacements.queue.clear();
        for index in 0..self.slots.len() {
            self.retire_later(index, now);
        }
        self.end_pass(Err(format!("worker {number} was not replaced: {why}")));
    }

    /// Starts the successor of the next slot, unless a replacement is in progress.
    pub(super) fn start_next_replacement(&mut self, now: Instant) {
        loop {
            let Some(&number) = self.replacements.queue.front() else {
                if self.replacements.is_pass {
                    self.end_pass(Ok(()));
                    continue;
                }
                return;
            };
            let index = number as usize;
            let is_there = self
                .slots
                .get(index)
                .is_some_and(|slot| slot.retiring.is_none());
            let incumbent = self
                .slots
                .get(index)
                .and_then(|slot| slot.incumbent.as_ref());
            match incumbent {
                Some(member) if is_there && member.is_ready() => {
                    if self.slots[index].successor.is_none() {
                        self.slots[index].successor = Some(self.start(index, now));
                    }
                    return;
                }
                // It may have read the configuration before the reload was requested, so it
                // is replaced once it is ready.
                Some(member) if is_there && member.phase == MemberPhase::Starting => return,
                // Killed or gone: its next worker is a new one. But a thread that was stuck
                // may run again.
                _ => {
                    self.replacements.queue.pop_front();
                    if is_there {
                        self.retire_later(index, now);
                    }
                }
            }
        }
    }

    fn begin_pass(&mut self) {
        let replacements = &mut self.replacements;
        replacements.is_pass = true;
        replacements.again = false;
        replacements.passes += 1;
        replacements.queue = self.slots.iter().map(|slot| slot.number).collect();
    }

    fn end_pass(&mut self, result: Result<(), String>) {
        if !self.replacements.is_pass {
            return;
        }
        self.replacements.is_pass = false;
        let pass = self.replacements.passes;
        self.actions.push_back(Action::Reloaded { pass, result });
        if self.replacements.again {
            self.begin_pass();
        }
    }
}
