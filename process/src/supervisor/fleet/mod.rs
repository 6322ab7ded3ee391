//! [`Fleet`], the record of all slots, which decides what to do about each event.
//!
//! The fleet starts nothing and has no clock. The master calls it with each event and the
//! time, and carries out the [`Action`]s that it queues, in their order.
//!
//! # Invariants
//!
//! 1. A slot has at most one worker that is ready and not leaving; or two, while a new
//!    worker that is ready is checked or serves for a time beside the old one.
//! 2. Each death of an incumbent is followed by a start at once, by a start at `start_at`,
//!    or by the successor that is running already; or by nothing if the slot retires or the
//!    fleet stops.
//! 3. A slot without a ready worker is lent to a ready worker of another slot, if there is
//!    one, as soon as it waits in back-off or its worker takes long to start. So is a slot
//!    whose worker is silent. No slot is lent to a worker that is silent while there is
//!    another.
//! 4. Actions name only workers that have not ended.

mod action;
mod batch;
mod deadlines;
mod lending;
mod replacement;
mod scaling;
mod slot;
mod stopping;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use coreloop_runtime::time::Instant;
use fastrand::Rng;

use super::policy::{CrashLoop, Restarts};
pub(super) use action::{Action, KillReason};
pub(super) use batch::ReplacementSettings;
use replacement::ReplacementQueue;
pub(super) use slot::{Member, MemberPhase, Slot, WorkerId};
use slot::{MemberPosition, Retiring};

/// How long after its time to drain has passed a worker is killed. Until then it can end by
/// itself and send its last messages.
pub(super) const GRACE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) drain: Duration,
    pub(super) heartbeat: Option<Duration>,
    pub(super) startup: Duration,
    pub(super) restarts: Restarts,
    pub(super) max_age: Option<Duration>,
    pub(super) replacement: ReplacementSettings,
    /// How long workers still accept after a request to stop.
    pub(super) drain_delay: Duration,
    /// Whether workers can be killed: processes can, threads cannot.
    pub(super) can_kill: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FleetStage {
    Running,
    /// A stop was requested. The workers accept until this time, or with `None` until a second
    /// request; those that die are replaced.
    Delaying {
        until: Option<Instant>,
    },
    Stopping(Result<(), String>),
    Finished,
}

#[derive(Debug)]
pub(super) struct Fleet {
    settings: Settings,
    slots: Vec<Slot>,
    /// The number of slots that scaling works towards.
    target: u32,
    /// How many slots get a share of the new connections. `None` while an old master steers
    /// them, so that this fleet may not scale.
    steered: Option<u32>,
    /// A request to scale has not been answered yet.
    is_scaling: bool,
    /// A new master has been started, and has neither failed nor taken over.
    is_upgrading: bool,
    next_id: u64,
    crash_loop: CrashLoop,
    replacements: ReplacementQueue,
    stage: FleetStage,
    stop_was_requested: bool,
    random: Rng,
    actions: VecDeque<Action>,
}

impl Fleet {
    /// Starts `count` workers.
    pub(super) fn new(settings: Settings, count: u32, random: Rng, now: Instant) -> Self {
        Self::with(settings, count, Some(count), random, now)
    }

    /// Starts `count` workers beside the workers of an old master, which steers the connections
    /// until [`take_over`](Self::take_over).
    pub(super) fn succeeding(settings: Settings, count: u32, random: Rng, now: Instant) -> Self {
        Self::with(settings, count, None, random, now)
    }

    fn with(
        settings: Settings,
        count: u32,
        steered: Option<u32>,
        random: Rng,
        now: Instant,
    ) -> Self {
        let crash_loop = CrashLoop::new(&settings.restarts);
        let mut fleet = Self {
            settings,
            slots: (0..count).map(|number| Slot::new(number, now)).collect(),
            target: count,
            steered,
            is_scaling: false,
            is_upgrading: false,
            next_id: 0,
            crash_loop,
            replacements: ReplacementQueue::default(),
            stage: FleetStage::Running,
            stop_was_requested: false,
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

    /// Returns the number of slots that scaling works towards.
    pub(super) fn target(&self) -> u32 {
        self.target
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stage != FleetStage::Running
    }

    /// Returns whether every slot is served by its own worker.
    pub(super) fn is_ready(&self) -> bool {
        self.stage == FleetStage::Running && self.slots.iter().all(Slot::is_served)
    }

    /// Returns whether any worker serves connections.
    pub(super) fn has_ready_worker(&self) -> bool {
        self.slots.iter().any(Slot::is_served)
    }

    /// Handles `Ready`, by which a worker reports that it serves connections.
    pub(super) fn on_ready(&mut self, id: WorkerId, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        let can_kill = self.settings.can_kill;
        let slot = &mut self.slots[index];
        let Some(member) = slot.member_mut(id) else {
            return;
        };
        if member.phase != MemberPhase::Starting {
            return self.message_received(id, now);
        }
        member.last_message = now;
        // A thread that took too long to start keeps running, and can be used.
        member.is_killed &= can_kill;
        if member.is_killed {
            return;
        }
        member.phase = MemberPhase::Ready { since: now };
        self.crash_loop.ready();
        if place == MemberPosition::Successor {
            // `advance` below starts the successors of the next slots: a reload waits until
            // successors serve, but not until the old workers have drained.
            self.successor_ready(index, id, now);
        } else {
            self.retire_later(index, now);
            self.reclaim(index);
            self.slots[index].is_open = true;
        }
        self.advance(now);
    }

    /// Notes that a message of the worker has come, which shows that its loop turns.
    pub(super) fn message_received(&mut self, id: WorkerId, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        let Some(member) = self.slots[index].member(id) else {
            return;
        };
        let was_silent = self.is_silent(member, now);
        let can_kill = self.settings.can_kill;
        let Some(member) = self.slots[index].member_mut(id) else {
            return;
        };
        member.last_message = now;
        let was_stuck = member.is_killed && !can_kill && member.phase != MemberPhase::Starting;
        if was_stuck {
            // A thread that was stuck runs again.
            member.is_killed = false;
        }
        if was_stuck || was_silent {
            if place == MemberPosition::Incumbent && self.slots[index].is_served() {
                self.reclaim(index);
            }
            self.advance(now);
        }
    }

    /// Handles `Draining`, by which a worker reports that it drains. The fleet may not have
    /// asked it to.
    pub(super) fn on_draining(&mut self, id: WorkerId, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        match place {
            MemberPosition::Leaving => {}
            MemberPosition::Successor => {
                let mut why = "the new worker drains before it is ready";
                let successor = self.slots[index].successor.as_ref();
                if successor.is_some_and(Member::is_ready) {
                    why = "the new worker drains already";
                }
                self.successor_failed(index, id, why, now);
            }
            MemberPosition::Incumbent => {
                if let Some(member) = self.slots[index].incumbent.take() {
                    let served = member.served(now);
                    self.start_draining(index, member, now);
                    if served.is_none() {
                        self.failed_before_ready(index, id, "ended");
                    }
                    self.vacated(index, served, now);
                }
            }
        }
        self.advance(now);
    }

    /// Handles the end of a worker. `how` says how it ended.
    pub(super) fn on_ended(&mut self, id: WorkerId, how: &str, now: Instant) {
        let Some((index, place)) = self.find(id) else {
            return;
        };
        self.lost_lender(id);
        let slot = &mut self.slots[index];
        match place {
            MemberPosition::Leaving => slot.leaving.retain(|member| member.id != id),
            MemberPosition::Successor => {
                let successor = slot.successor.take();
                let when = if successor.is_some_and(|member| member.is_ready()) {
                    "while the old one still served"
                } else {
                    "before it was ready"
                };
                let why = format!("the new worker {how} {when}");
                self.replacement_failed(index, id, &why, now);
            }
            MemberPosition::Incumbent => {
                let served = slot.incumbent.take().and_then(|member| member.served(now));
                if served.is_none() {
                    self.failed_before_ready(index, id, how);
                }
                self.vacated(index, served, now);
            }
        }
        self.advance(now);
    }

    /// Stops the fleet because the master has failed: like the first [`stop`](Self::stop),
    /// but the fleet finishes with an error. A call of `stop` after it is the first.
    pub(super) fn fail(&mut self, why: &str, now: Instant) {
        self.end(Err(why.to_owned()), now);
    }

    /// Stops the fleet because a new master serves in its place. A call of
    /// [`stop`](Self::stop) after it is the first.
    pub(super) fn replaced(&mut self, now: Instant) {
        self.end(Ok(()), now);
    }

    /// Drains all workers, unless they drain already.
    fn end(&mut self, result: Result<(), String>, now: Instant) {
        if self.is_serving() {
            self.drain_all(result, now);
        }
        self.advance(now);
    }

    fn drain_all(&mut self, result: Result<(), String>, now: Instant) {
        self.stage = FleetStage::Stopping(result);
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.start_at = None;
            slot.lent_to = None;
            slot.retiring = None;
            let (incumbent, successor) = (slot.incumbent.take(), slot.successor.take());
            for member in incumbent.into_iter().chain(successor) {
                self.start_draining(index, member, now);
            }
        }
    }

    fn kill(&mut self, index: usize, id: WorkerId, why: KillReason) {
        let can_kill = self.settings.can_kill;
        let slot = &mut self.slots[index];
        let position = slot.position(id);
        let Some(member) = slot.member_mut(id) else {
            return;
        };
        if !member.is_killed {
            member.is_killed = true;
            self.actions.push_back(Action::Kill { id, why });
        }
        if !can_kill && position == Some(MemberPosition::Leaving) {
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
                self.kill(index, id, KillReason::StopRequested);
            }
        }
    }

    /// Counts a worker that has ended before it was ready, or has begun to end: a worker
    /// whose function returns drains first.
    fn failed_before_ready(&mut self, index: usize, id: WorkerId, how: &str) {
        let number = self.slots[index].number;
        self.failed_scaling(number, how);
        let why = format!("worker {number} {how} before it was ready");
        self.failed_restart(number, id, &why);
        if self.is_serving()
            && let Some(deaths) = self.crash_loop.died()
        {
            self.give_up(&format!(
                "no worker became ready: {deaths} in a row died before, the last of them, worker {number}, {how}"
            ));
        }
    }

    fn give_up(&mut self, why: &str) {
        self.stage = FleetStage::Stopping(Err(why.to_owned()));
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            slot.start_at = None;
            slot.lent_to = None;
            slot.retiring = None;
            // Workers that cannot be killed are abandoned only if they are leaving.
            let members = slot
                .incumbent
                .take()
                .into_iter()
                .chain(slot.successor.take());
            slot.leaving.extend(members);
        }
        self.kill_all();
    }

    /// Handles a slot without an incumbent: puts the successor in its place, or starts a new
    /// worker now or later. The last incumbent has `served` for this time, if at all.
    fn vacated(&mut self, index: usize, served: Option<Duration>, now: Instant) {
        let is_serving = self.is_serving();
        let slot = &mut self.slots[index];
        slot.vacant_since = now;
        if is_serving && slot.successor.is_some() {
            return self.promote(index, now);
        }
        if !is_serving || slot.retiring.is_some() {
            return;
        }
        let number = slot.number;
        let restarts = &self.settings.restarts;
        let wait = slot.backoff.died(served, now, restarts, &mut self.random);
        let is_restarting = self.is_restarting(number);
        let slot = &mut self.slots[index];
        if wait.is_zero() || is_restarting {
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
            phase: MemberPhase::Starting,
            started: now,
            last_message: now,
            is_killed: false,
            retires: None,
        }
    }

    /// Asks a worker to drain. The slots that were lent to it can be lent to others.
    fn start_draining(&mut self, index: usize, mut member: Member, now: Instant) {
        let id = member.id;
        let time = self.settings.drain.saturating_add(GRACE);
        member.phase = MemberPhase::Leaving {
            deadline: now.checked_add(time),
        };
        // A thread that was stuck gets the time to drain too.
        member.is_killed &= self.settings.can_kill;
        self.slots[index].leaving.push(member);
        self.actions.push_back(Action::Drain { id });
        self.lost_lender(id);
    }

    /// Takes the next step of scaling, replacing and lending; or finishes, if the fleet stops
    /// and is empty. Called after every change.
    fn advance(&mut self, now: Instant) {
        self.end_checks();
        if self.stage == FleetStage::Running {
            self.advance_scaling(now);
            self.start_next_replacement(now);
            self.advance_restarts();
            self.lend(now);
        } else if self.is_serving() {
            self.lend(now);
        } else if let FleetStage::Stopping(result) = &self.stage
            && self.slots.iter().all(Slot::is_empty)
        {
            let result = result.clone();
            self.stage = FleetStage::Finished;
            self.actions.push_back(Action::Finish(result));
        }
    }

    fn find(&self, id: WorkerId) -> Option<(usize, MemberPosition)> {
        let mut slots = self.slots.iter().enumerate();
        slots.find_map(|(index, slot)| Some((index, slot.position(id)?)))
    }
}
