//! Workers that serve are replaced one slot after another: all of them in a pass,
//! which a reload asks for, or one, which is old or large.

use std::collections::VecDeque;

use coreloop_runtime::time::Instant;

use super::{Action, Fleet, Phase};

/// The slots that are yet to be replaced.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    /// The first of them is at work.
    queue: VecDeque<u32>,
    /// How many passes were begun.
    passes: u64,
    is_pass: bool,
    /// One more was asked for while one was at work.
    again: bool,
}

impl Replacing {
    /// The slot has a new worker.
    pub(super) fn replaced(&mut self, slot: u32) {
        self.queue.retain(|&queued| queued != slot);
    }
}

impl Fleet {
    /// Replaces all workers. Answers the number of the pass that does, which an
    /// [`Action::Reloaded`] will name.
    pub(in crate::supervisor) fn reload(&mut self, now: Instant) -> u64 {
        let replacing = &mut self.replacing;
        let pass = if replacing.is_pass {
            replacing.again = true;
            replacing.passes + 1
        } else {
            self.begin_pass();
            self.replacing.passes
        };
        self.settle(now);
        pass
    }

    /// Replaces the worker of one slot.
    pub(in crate::supervisor) fn recycle(&mut self, slot: u32, now: Instant) {
        self.replace(slot as usize);
        self.settle(now);
    }

    pub(super) fn replace(&mut self, index: usize) {
        let number = self.slots[index].number;
        if !self.replacing.queue.contains(&number) {
            self.replacing.queue.push_back(number);
        }
    }

    /// The new worker did not become ready: the old ones stay.
    pub(super) fn replacement_failed(&mut self, index: usize, why: &str, now: Instant) {
        let number = self.slots[index].number;
        if self.is_stopping() {
            return;
        }
        self.replacing.queue.clear();
        // Not again before long, if it was for its age.
        let retry = self.settings.max_age.and_then(|age| now.checked_add(age));
        if let Some(member) = &mut self.slots[index].incumbent {
            member.retires = retry;
        }
        self.end_pass(Err(format!("worker {number} was not replaced: {why}")));
    }

    /// Goes on with the next slot, if the last has its new worker.
    pub(super) fn replace_on(&mut self, now: Instant) {
        loop {
            let Some(&number) = self.replacing.queue.front() else {
                if self.replacing.is_pass {
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
                // It may have started before what it is to be replaced for.
                Some(member) if is_there && member.phase == Phase::Starting => return,
                // Killed; what comes is new.
                _ => {
                    self.replacing.queue.pop_front();
                }
            }
        }
    }

    fn begin_pass(&mut self) {
        let replacing = &mut self.replacing;
        replacing.is_pass = true;
        replacing.again = false;
        replacing.passes += 1;
        replacing.queue = self.slots.iter().map(|slot| slot.number).collect();
    }

    fn end_pass(&mut self, result: Result<(), String>) {
        if !self.replacing.is_pass {
            return;
        }
        self.replacing.is_pass = false;
        let pass = self.replacing.passes;
        self.actions.push_back(Action::Reloaded { pass, result });
        if self.replacing.again {
            self.begin_pass();
        }
    }
}
