//! [`Fleet`]: all slots, and what is to be done about what happens to them.
//!
//! It starts nothing and has no clock: it is told what happened and when, and
//! answers with [`Action`]s, which the master does in their order.
//!
//! 1. A slot has at most one worker that is ready and not leaving.
//! 2. Whoever dies is answered: by a start at once, by `start_at`, by the successor
//!    that is there already, or by nothing where the slot retires or all stops.
//! 3. A slot that nobody serves is lent to a ready worker of another, if there is
//!    one, as soon as it waits in back-off or takes long to start.
//! 4. Actions name only workers that have not ended.

mod action;
mod deadlines;
mod lending;
mod replacing;
mod scaling;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use coreloop_runtime::time::Instant;
use fastrand::Rng;

use super::policy::{Boots, Restarts};
pub(super) use action::{Action, Why};
use replacing::Replacing;
use slot::Retiring;
pub(super) use slot::{Member, Phase, Place, Slot, WorkerId};

/// What a worker may take longer than its deadline, to say its last words.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) drain: Duration,
    pub(super) heartbeat: Option<Duration>,
    pub(super) startup: Duration,
    pub(super) restarts: Restarts,
    pub(super) max_age: Option<Duration>,
    /// Processes can be killed, threads cannot.
    pub(super) can_kill: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Running,
    Stopping(Result<(), String>),
    Finished,
}

#[derive(Debug)]
pub(super) struct Fleet {
    settings: Settings,
    slots: Vec<Slot>,
    /// How many slots there are to be.
    target: u32,
    /// How many have a share of the new connections.
    steered: u32,
    /// A change of their number is not answered yet.
    is_scaling: bool,
    next_id: u64,
    boots: Boots,
    replacing: Replacing,
    stage: Stage,
    was_told_to_stop: bool,
    random: Rng,
    actions: VecDeque<Action>,
}

impl Fleet {
    /// Starts `count` workers.
    pub(super) fn new(settings: Settings, count: u32, random: Rng, now: Instant) -> Fleet {
        let boots = Boots::new(settings.restarts.boots);
        let mut fleet = Fleet {
            settings,
            slots: (0..count).map(|number| Slot::new(number, now)).collect(),
            target: count,
            steered: count,
            is_scaling: false,
            next_id: 0,
            boots,
            replacing: Replacing::default(),
            stage: Stage::Running,
            was_told_to_stop: false,
            random,
            actions: VecDeque::new(),
        };
        for index in 0..fleet.slots.len() {
            fleet.start_incumbent(index, now);
        }
        fleet
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many workers there are to be.
    pub(super) fn target(&self) -> u32 {
        self.target
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stage != Stage::Running
    }

    /// Whether every slot is served by its own worker.
    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Running && self.slots.iter().all(Slot::is_served)
    }

    /// The worker says that it serves.
    pub(super) fn ready(&mut self, id: WorkerId, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        let max_age = self.settings.max_age.map(|age| {
            // Not all at once.
            age.mul_f64(1.0 - self.random.f64() / 10.0)
        });
        let can_kill = self.settings.can_kill;
        let slot = &mut self.slots[index];
        let Some(member) = slot.member_mut(id) else {
            return;
        };
        if member.phase != Phase::Starting {
            return self.heard(id, now);
        }
        member.heard = now;
        // A thread that took too long lives on.
        member.is_killed &= can_kill;
        if member.is_killed {
            return;
        }
        member.phase = Phase::Ready { since: now };
        member.retires = max_age.and_then(|age| now.checked_add(age));
        self.boots.ready();
        if place == Place::Successor {
            let old = slot.incumbent.take();
            slot.incumbent = slot.successor.take();
            if let Some(old) = old {
                self.leave(index, old, now);
            }
            self.replacing.replaced(self.slots[index].number);
        }
        self.reclaim(index);
        self.slots[index].is_open = true;
        self.settle(now);
    }

    /// The worker said anything at all.
    pub(super) fn heard(&mut self, id: WorkerId, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        let Some(member) = self.slots[index].member_mut(id) else {
            return;
        };
        member.heard = now;
        if member.is_killed && !self.settings.can_kill && member.phase != Phase::Starting {
            // A thread that was stuck is not any more.
            member.is_killed = false;
            if place == Place::Incumbent {
                self.reclaim(index);
                self.settle(now);
            }
        }
    }

    /// The worker lets go of its sockets, perhaps without having been told to.
    pub(super) fn draining(&mut self, id: WorkerId, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        match place {
            Place::Leaving => {}
            Place::Successor => {
                if let Some(member) = self.slots[index].successor.take() {
                    self.leave(index, member, now);
                }
                self.replacement_failed(index, "the new worker drains before it is ready", now);
            }
            Place::Incumbent => {
                if let Some(member) = self.slots[index].incumbent.take() {
                    let served = member.served(now);
                    self.leave(index, member, now);
                    self.vacated(index, served, now);
                }
            }
        }
        self.settle(now);
    }

    /// The worker is over, `how` it says.
    pub(super) fn ended(&mut self, id: WorkerId, how: &str, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        self.lost_lender(id);
        let slot = &mut self.slots[index];
        match place {
            Place::Leaving => slot.leaving.retain(|member| member.id != id),
            Place::Successor => {
                slot.successor = None;
                let why = format!("the new worker {how} before it was ready");
                self.replacement_failed(index, &why, now);
            }
            Place::Incumbent => {
                let served = slot.incumbent.take().and_then(|member| member.served(now));
                let number = slot.number;
                if served.is_none() {
                    self.failed_scaling(number, how);
                    if self.stage == Stage::Running
                        && let Some(deaths) = self.boots.died()
                    {
                        self.give_up(&format!(
                            "no worker became ready: {deaths} in a row died before, the last of them, worker {number}, {how}"
                        ));
                    }
                }
                self.vacated(index, served, now);
            }
        }
        self.settle(now);
    }

    /// TERM: drain all to the deadline. Again: kill all.
    pub(super) fn stop(&mut self, now: Instant) {
        let was_told = std::mem::replace(&mut self.was_told_to_stop, true);
        if !self.is_stopping() {
            self.drain_all(Ok(()), now);
        } else if was_told {
            self.kill_all();
        }
        self.settle(now);
    }

    /// The master cannot go on: as by a first TERM, but the end is an error.
    pub(super) fn fail(&mut self, why: &str, now: Instant) {
        if !self.is_stopping() {
            self.drain_all(Err(why.to_owned()), now);
        }
        self.settle(now);
    }

    fn drain_all(&mut self, result: Result<(), String>, now: Instant) {
        self.stage = Stage::Stopping(result);
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.start_at = None;
            slot.lent_to = None;
            slot.retiring = None;
            let (incumbent, successor) = (slot.incumbent.take(), slot.successor.take());
            for member in incumbent.into_iter().chain(successor) {
                self.leave(index, member, now);
            }
        }
    }

    fn kill(&mut self, index: usize, id: WorkerId, why: Why) {
        let can_kill = self.settings.can_kill;
        let slot = &mut self.slots[index];
        let place = slot.place(id);
        let Some(member) = slot.member_mut(id) else {
            return;
        };
        if !member.is_killed {
            member.is_killed = true;
            self.actions.push_back(Action::Kill { id, why });
        }
        if !can_kill && place == Some(Place::Leaving) {
            slot.leaving.retain(|member| member.id != id);
            self.actions.push_back(Action::Abandon { id });
        }
        self.lost_lender(id);
    }

    fn kill_all(&mut self) {
        for index in 0..self.slots.len() {
            let ids: Vec<_> = self.slots[index]
                .members()
                .map(|member| member.id)
                .collect();
            for id in ids {
                self.kill(index, id, Why::Told);
            }
        }
    }

    fn give_up(&mut self, why: &str) {
        self.stage = Stage::Stopping(Err(why.to_owned()));
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.start_at = None;
            slot.lent_to = None;
            slot.retiring = None;
            // Whoever cannot be killed is not waited for either.
            let members = slot
                .incumbent
                .take()
                .into_iter()
                .chain(slot.successor.take());
            slot.leaving.extend(members);
        }
        self.kill_all();
    }

    /// Nobody is in the slot any more, who had served for `served`.
    fn vacated(&mut self, index: usize, served: Option<Duration>, now: Instant) {
        let slot = &mut self.slots[index];
        slot.vacant_since = now;
        if self.stage != Stage::Running || slot.retiring.is_some() {
            return;
        }
        if let Some(successor) = slot.successor.take() {
            slot.incumbent = Some(successor);
            let number = slot.number;
            self.replacing.replaced(number);
            return;
        }
        let restarts = &self.settings.restarts;
        let wait = slot.backoff.died(served, now, restarts, &mut self.random);
        if wait.is_zero() {
            slot.restarts += 1;
            self.start_incumbent(index, now);
        } else {
            slot.start_at = Some(now + wait);
            let slot = slot.number;
            self.actions.push_back(Action::Waits { slot, wait });
        }
    }

    fn start_incumbent(&mut self, index: usize, now: Instant) {
        self.slots[index].incumbent = Some(self.start(index, now));
    }

    fn start(&mut self, index: usize, now: Instant) -> Member {
        let id = WorkerId(self.next_id);
        self.next_id += 1;
        let slot = &mut self.slots[index];
        let generation = slot.starts;
        slot.starts += 1;
        self.actions.push_back(Action::Start {
            slot: slot.number,
            id,
            generation,
        });
        Member {
            id,
            phase: Phase::Starting,
            started: now,
            heard: now,
            is_killed: false,
            retires: None,
        }
    }

    /// Tells a worker to drain. Its loans are for others.
    fn leave(&mut self, index: usize, mut member: Member, now: Instant) {
        let id = member.id;
        let time = self.settings.drain.saturating_add(LAST_WORDS);
        let deadline = now.checked_add(time).unwrap_or(member.started);
        member.phase = Phase::Leaving { deadline };
        // A thread that was stuck has its time too.
        member.is_killed &= self.settings.can_kill;
        self.slots[index].leaving.push(member);
        self.actions.push_back(Action::Drain { id });
        self.lost_lender(id);
    }

    /// What follows of the new state.
    fn settle(&mut self, now: Instant) {
        if self.stage == Stage::Running {
            self.scale_on(now);
            self.replace_on(now);
            self.lend(now);
        } else if let Stage::Stopping(result) = &self.stage
            && self.slots.iter().all(Slot::is_empty)
        {
            let result = result.clone();
            self.stage = Stage::Finished;
            self.actions.push_back(Action::Finish(result));
        }
    }

    fn find(&self, id: WorkerId) -> Option<(usize, Place)> {
        let mut slots = self.slots.iter().enumerate();
        slots.find_map(|(index, slot)| Some((index, slot.place(id)?)))
    }
}
