//! The fleet in a simulated world: workers that end at any time, a clock that jumps, queues
//! that fill. The invariants are checked after every step.

mod replacement;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coreloop_test_support::size::pick;
use fastrand::Rng;
use proptest::prelude::*;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// An event. A `usize` picks one of the processes that exist.
#[derive(Debug, Clone)]
enum Step {
    Ready(usize),
    Ended(usize),
    Draining(usize),
    Beats,
    Advance(u64),
    ToDeadline,
    Reload,
    Recycle(u32),
    Retire(usize),
    Restart(u32),
    Checked(usize, bool),
    Scale(u32),
    Queue(u32, u32),
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProcessState {
    Starting,
    Ready,
    Draining,
}

#[derive(Debug)]
struct Process {
    slot: u32,
    state: ProcessState,
    is_killed: bool,
}

struct World {
    fleet: Fleet,
    now: Instant,
    processes: BTreeMap<WorkerId, Process>,
    /// The time before which each slot must not be started again.
    waits: BTreeMap<u32, Instant>,
    starts: BTreeMap<u32, u64>,
    loans: BTreeMap<u32, WorkerId>,
    queues: BTreeMap<u32, u32>,
    sockets: u32,
    steered: u32,
    boots: u32,
    was_ready: bool,
    deaths_before_ready: u32,
    is_stopped: bool,
    passes: BTreeMap<u64, bool>,
    checks: BTreeSet<WorkerId>,
    failed_checks: Vec<(WorkerId, String)>,
    baked: Vec<Vec<u32>>,
    replaced: Vec<(u32, Result<(), String>)>,
    /// The requests to replace one worker that are not answered, and the answers.
    restarts: BTreeMap<u64, Option<Result<(), String>>>,
    scaled: Vec<Result<(), String>>,
    delays: Vec<Duration>,
    drains: u32,
    finished: Option<Result<(), String>>,
}

fn settings(can_kill: bool) -> Settings {
    Settings {
        drain: 1000 * MILLISECOND,
        heartbeat: Some(400 * MILLISECOND),
        startup: 2000 * MILLISECOND,
        restarts: Restarts::new()
            .max_immediate(2)
            .period(1000 * MILLISECOND)
            .max_failed_starts(4),
        max_age: None,
        replacement: ReplacementSettings::default(),
        drain_delay: Duration::ZERO,
        can_kill,
    }
}

impl World {
    fn new(settings: Settings, count: u32) -> Self {
        let now = Instant::now();
        let boots = settings.restarts.max_failed_starts;
        let fleet = Fleet::new(settings, count, Rng::with_seed(3), now);
        Self::with(fleet, count, boots, now)
    }

    /// Creates the world of a new master, before it takes over from the old one.
    fn succeeding(count: u32) -> Self {
        let now = Instant::now();
        let settings = settings(true);
        let boots = settings.restarts.max_failed_starts;
        let fleet = Fleet::succeeding(settings, count, Rng::with_seed(3), now);
        Self::with(fleet, count, boots, now)
    }

    fn with(fleet: Fleet, count: u32, boots: u32, now: Instant) -> Self {
        let mut world = Self {
            fleet,
            now,
            processes: BTreeMap::new(),
            waits: BTreeMap::new(),
            starts: BTreeMap::new(),
            loans: BTreeMap::new(),
            queues: BTreeMap::new(),
            sockets: count,
            steered: count,
            boots,
            was_ready: false,
            deaths_before_ready: 0,
            is_stopped: false,
            passes: BTreeMap::new(),
            checks: BTreeSet::new(),
            failed_checks: Vec::new(),
            baked: Vec::new(),
            replaced: Vec::new(),
            restarts: BTreeMap::new(),
            scaled: Vec::new(),
            delays: Vec::new(),
            drains: 0,
            finished: None,
        };
        world.act();
        world
    }

    /// Creates a world in which all workers are ready.
    fn serving(count: u32) -> Self {
        let mut world = World::new(settings(true), count);
        for slot in 0..count {
            world.ready(world.of(slot));
        }
        world
    }

    /// Returns the newest worker of a slot.
    fn of(&self, slot: u32) -> WorkerId {
        let mut ids = self.processes.iter().rev();
        let found = ids.find(|(_, process)| process.slot == slot);
        *found.expect("a worker of the slot").0
    }

    fn pick(&self, number: usize) -> Option<WorkerId> {
        let count = self.processes.len().max(1);
        self.processes.keys().nth(number % count).copied()
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Ready(number) => {
                if let Some(id) = self.pick(number) {
                    self.ready(id);
                }
            }
            Step::Ended(number) => {
                if let Some(id) = self.pick(number) {
                    self.end(id);
                }
            }
            Step::Draining(number) => {
                if let Some(id) = self.pick(number) {
                    self.drains(id);
                }
            }
            Step::Beats => self.beat(),
            Step::Advance(milliseconds) => {
                let to = self.now + Duration::from_millis(milliseconds);
                self.run_until(to);
            }
            Step::ToDeadline => {
                if let Some(at) = self.fleet.next_deadline() {
                    self.run_until(at);
                }
            }
            Step::Reload => {
                let pass = self.fleet.reload(self.now);
                self.passes.entry(pass).or_insert(false);
            }
            Step::Recycle(slot) => {
                if (slot as usize) < self.fleet.slots().len() {
                    self.fleet.recycle(slot, self.now);
                }
            }
            Step::Retire(number) => {
                if let Some(id) = self.pick(number) {
                    self.fleet.on_retire(id, self.now);
                }
            }
            Step::Restart(slot) => {
                // The master refuses the request.
                if !self.is_stopped && !self.fleet.is_stopping() {
                    self.waits.remove(&slot);
                    let ticket = self.fleet.restart(slot, self.now);
                    self.restarts.extend(ticket.map(|ticket| (ticket, None)));
                }
            }
            Step::Checked(number, passes) => {
                let count = self.checks.len().max(1);
                if let Some(&id) = self.checks.iter().nth(number % count) {
                    self.checked(id, passes);
                }
            }
            Step::Scale(count) => self.fleet.scale(count, self.now),
            Step::Queue(slot, waiting) => drop(self.queues.insert(slot, waiting)),
            Step::Stop => {
                self.is_stopped = true;
                self.fleet.stop(self.now);
            }
        }
        self.act();
        self.check();
    }

    fn ready(&mut self, id: WorkerId) {
        let process = self.processes.get_mut(&id).unwrap();
        let can_kill = self.fleet.settings.can_kill;
        process.is_killed &= can_kill;
        if process.state == ProcessState::Starting && !process.is_killed {
            process.state = ProcessState::Ready;
            self.was_ready = true;
        }
        self.fleet.on_ready(id, self.now);
        self.act();
    }

    /// The worker drains by itself: its function has returned, or it got a signal.
    fn drains(&mut self, id: WorkerId) {
        let is_incumbent = self.incumbent(self.processes[&id].slot) == Some(id);
        let process = self.processes.get_mut(&id).unwrap();
        if process.state == ProcessState::Starting
            && is_incumbent
            && !self.was_ready
            && !self.fleet.is_stopping()
        {
            self.deaths_before_ready += 1;
        }
        process.state = ProcessState::Draining;
        self.fleet.on_draining(id, self.now);
        self.act();
    }

    fn incumbent(&self, slot: u32) -> Option<WorkerId> {
        let slot = self.fleet.slots().get(slot as usize)?;
        slot.incumbent.as_ref().map(|member| member.id)
    }

    fn end(&mut self, id: WorkerId) {
        let process = self.processes.remove(&id).unwrap();
        if process.state == ProcessState::Starting && !self.was_ready && !self.fleet.is_stopping() {
            self.deaths_before_ready += 1;
        }
        self.loans.retain(|_, by| *by != id);
        self.fleet.on_ended(id, "was ended", self.now);
        self.act();
    }

    fn checked(&mut self, id: WorkerId, passes: bool) {
        assert!(self.checks.remove(&id));
        let result = if passes {
            Ok(())
        } else {
            Err("no answer".to_owned())
        };
        self.fleet.on_checked(id, result, self.now);
        self.act();
    }

    fn beat(&mut self) {
        let can_kill = self.fleet.settings.can_kill;
        for (&id, process) in &mut self.processes {
            process.is_killed &= can_kill || process.state == ProcessState::Starting;
            self.fleet.message_received(id, self.now);
        }
        self.act();
    }

    /// Advances the clock, and calls the fleet at each of its deadlines.
    fn run_until(&mut self, to: Instant) {
        while let Some(at) = self.fleet.next_deadline()
            && at <= to
        {
            assert!(at >= self.now || self.fleet.next_deadline() == Some(at));
            self.now = self.now.max(at);
            self.fleet.tick(self.now);
            self.act();
            let next = self.fleet.next_deadline();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a deadline that was handled is due again"
            );
        }
        self.now = self.now.max(to);
    }

    fn act(&mut self) {
        while let Some(action) = self.fleet.next_action() {
            assert!(self.finished.is_none(), "{action:?} after the end");
            self.do_one(action);
        }
    }

    fn do_one(&mut self, action: Action) {
        match action {
            Action::Start {
                slot,
                id,
                generation,
            } => {
                assert!(!self.is_stopped, "a start after the stop");
                assert!(slot < self.sockets, "a start without a socket");
                let not_before = self.waits.remove(&slot);
                assert!(
                    not_before.is_none_or(|at| at <= self.now),
                    "a start too soon"
                );
                let starts = self.starts.entry(slot).or_default();
                assert_eq!(generation, *starts);
                *starts += 1;
                let process = Process {
                    slot,
                    state: ProcessState::Starting,
                    is_killed: false,
                };
                assert!(
                    self.processes.insert(id, process).is_none(),
                    "an id is used twice"
                );
            }
            Action::Drain { id } => {
                let process = self.processes.get_mut(&id).expect("it is there");
                process.state = ProcessState::Draining;
                process.is_killed &= self.fleet.settings.can_kill;
                self.loans.retain(|_, by| *by != id);
            }
            Action::Kill { id, .. } => {
                self.processes.get_mut(&id).expect("it is there").is_killed = true;
                self.loans.retain(|_, by| *by != id);
            }
            Action::Abandon { id } => drop(self.processes.remove(&id).expect("it is there")),
            Action::Adopt { by, slot } => {
                let lender = &self.processes[&by];
                assert_eq!(lender.state, ProcessState::Ready);
                assert_ne!(lender.slot, slot);
                assert!(slot < self.sockets);
                assert_eq!(self.loans.insert(slot, by), None, "lent twice");
            }
            Action::Release { by, slot } => {
                assert_eq!(self.loans.remove(&slot), Some(by));
            }
            Action::Grow { slots } => {
                assert!(slots > self.sockets);
                if slots == 7 {
                    self.fleet.not_grown("no more".to_owned());
                } else {
                    self.sockets = slots;
                    self.fleet.grown(slots, self.now);
                }
            }
            Action::Steer { slots } => {
                assert!((1..=self.sockets).contains(&slots));
                self.steered = slots;
            }
            Action::CheckQueue { slot } => {
                let waiting = self.queues.get(&slot).copied().unwrap_or(0);
                self.fleet.queue(slot, waiting, self.now);
            }
            Action::Close { slot } => {
                self.sockets -= 1;
                assert_eq!(slot, self.sockets, "only the last one is closed");
                assert!(slot >= self.steered, "new connections still go there");
                assert!(self.processes.values().all(|process| process.slot != slot));
                assert_eq!(
                    self.queues.get(&slot).copied().unwrap_or(0),
                    0,
                    "a queue is lost"
                );
                assert!(!self.loans.contains_key(&slot), "it is still lent");
                self.starts.remove(&slot);
                self.waits.remove(&slot);
            }
            Action::Reloaded { pass, .. } => {
                let answered = self.passes.insert(pass, true);
                assert_eq!(
                    answered,
                    Some(false),
                    "a pass that was not requested, or ended before"
                );
            }
            Action::Scaled(result) => self.scaled.push(result),
            Action::Waits { slot, wait } => {
                assert!(!wait.is_zero());
                self.waits.insert(slot, self.now + wait);
            }
            Action::Finish(result) => self.finished = Some(result),
            Action::Delays { time } => self.delays.push(time),
            Action::Drains => self.drains += 1,
            action => self.replace(action),
        }
    }

    /// Carries out an action that concerns replacements only.
    fn replace(&mut self, action: Action) {
        match action {
            Action::Check { id } => {
                assert_eq!(self.processes[&id].state, ProcessState::Ready);
                assert!(self.checks.insert(id), "checked twice");
            }
            Action::EndCheck { id } => {
                assert!(self.checks.remove(&id), "a check that does not run");
            }
            Action::CheckFailed { id, error } => {
                assert!(!self.checks.contains(&id));
                self.failed_checks.push((id, error));
            }
            Action::Bakes { slots, time } => {
                assert_eq!(time, self.fleet.settings.replacement.bake_time);
                self.baked.push(slots);
            }
            Action::Replaced { slot, result } => self.replaced.push((slot, result)),
            Action::Restarted { ticket, result } => {
                let before = self.restarts.insert(ticket, Some(result));
                assert_eq!(before, Some(None), "answered twice, or never asked");
            }
            action => panic!("{action:?} is not carried out"),
        }
    }

    /// Runs without further events until everything has come to rest.
    fn settle(&mut self) {
        self.act();
        let can_kill = self.fleet.settings.can_kill;
        let mut rounds = 0;
        while self.finished.is_none() {
            rounds += 1;
            assert!(rounds < 10_000, "it does not come to rest");
            self.queues.clear();
            let mut processes = self.processes.iter();
            let ends = processes.find(|(_, process)| {
                process.state == ProcessState::Draining || process.is_killed && can_kill
            });
            let mut processes = self.processes.iter();
            let starts = processes.find(|(_, process)| process.state == ProcessState::Starting);
            if let Some((&id, _)) = ends {
                self.end(id);
            } else if let Some((&id, _)) = starts {
                self.ready(id);
            } else if let Some(&id) = self.checks.first() {
                self.checked(id, true);
            } else if self.fleet.slots().iter().any(|slot| {
                !slot.is_served() || slot.retiring.is_some() || slot.successor.is_some()
            }) {
                self.beat();
                // Less than the time after which a worker counts as silent.
                self.run_until(self.now + 50 * MILLISECOND);
                self.beat();
            } else {
                break;
            }
            self.check();
        }
        self.beat();
    }

    fn check(&self) {
        let replaced = self.fleet.slots().iter();
        let replaced = replaced.filter(|slot| slot.successor.is_some() && slot.retiring.is_none());
        assert!(
            replaced.count() <= self.fleet.settings.replacement.parallel(),
            "too many workers are replaced at once"
        );
        for slot in self.fleet.slots() {
            let of_slot = || {
                self.processes
                    .values()
                    .filter(|process| process.slot == slot.number)
            };
            let staying = of_slot().filter(|process| process.state != ProcessState::Draining);
            assert!(
                staying.count() <= 2,
                "a worker too many in slot {}",
                slot.number
            );
            let serving = of_slot()
                .filter(|process| process.state == ProcessState::Ready && !process.is_killed);
            assert!(
                serving.count() <= 1 + usize::from(slot.successor.is_some()),
                "too many workers serve slot {}",
                slot.number
            );
            for id in &self.checks {
                let is_successor = |slot: &Slot| {
                    slot.successor
                        .as_ref()
                        .is_some_and(|successor| successor.id == *id)
                };
                assert!(
                    self.fleet.slots().iter().any(is_successor),
                    "a check that is not needed"
                );
            }
            assert_eq!(of_slot().count(), slot.members().count());
            if !self.fleet.is_stopping() && slot.retiring.is_none() {
                let is_answered = slot.incumbent.is_some() || slot.start_at.is_some();
                assert!(
                    is_answered,
                    "slot {} has neither a worker nor a start",
                    slot.number
                );
                assert!(slot.successor.is_none() || slot.incumbent.is_some());
            }
            if slot.start_at.is_some()
                && self
                    .fleet
                    .slots()
                    .iter()
                    .any(|other| other.is_served() && other.retiring.is_none())
            {
                assert!(slot.lent_to.is_some(), "slot {} is not lent", slot.number);
            }
        }
        let gives_up = !self.was_ready && self.deaths_before_ready >= self.boots;
        let is_ending = self.is_stopped || gives_up;
        assert_eq!(
            self.fleet.is_stopping(),
            is_ending,
            "it stops if and only if it has to"
        );
        match &self.finished {
            Some(result) => {
                assert!(is_ending && self.processes.is_empty());
                assert_eq!(result.is_err(), gives_up);
            }
            None => assert!(!is_ending || !self.processes.is_empty(), "it does not end"),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<usize>().prop_map(Step::Ready),
        6 => any::<usize>().prop_map(Step::Ended),
        1 => any::<usize>().prop_map(Step::Draining),
        6 => Just(Step::Beats),
        6 => (0..500_u64).prop_map(Step::Advance),
        4 => Just(Step::ToDeadline),
        2 => Just(Step::Reload),
        1 => (0..4_u32).prop_map(Step::Recycle),
        1 => any::<usize>().prop_map(Step::Retire),
        2 => (0..5_u32).prop_map(Step::Restart),
        4 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(check, passes)| Step::Checked(check, passes)),
        2 => (1..=7_u32).prop_map(Step::Scale),
        2 => (0..7_u32, 0..2_u32).prop_map(|(slot, waiting)| Step::Queue(slot, waiting)),
    ]
}

fn replacement() -> impl Strategy<Value = ReplacementSettings> {
    let bake_time = prop_oneof![Just(Duration::ZERO), Just(300 * MILLISECOND)];
    (0..4_u32, bake_time, any::<bool>()).prop_map(|(parallel, bake_time, has_check)| {
        ReplacementSettings {
            parallel,
            bake_time,
            has_check,
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stop = prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![Step::Stop])];
    let run = || prop::collection::vec(step(), 0..120);
    (run(), stop, run()).prop_map(|(before, stop, after)| [before, stop, after].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { pick(100, 500) }, failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// After any events in any order the fleet keeps its invariants, and without further
    /// events it comes to rest.
    #[test]
    fn the_invariants_hold_after_any_events(
        count in 1..5_u32,
        can_kill: bool,
        replacement in replacement(),
        steps in steps(),
    ) {
        let settings = Settings { replacement, ..settings(can_kill) };
        let mut world = World::new(settings, count);
        world.check();
        for step in &steps {
            world.take(step);
            if world.finished.is_some() {
                break;
            }
        }
        world.settle();
        if world.finished.is_none() {
            prop_assert_eq!(world.fleet.slots().len(), world.fleet.target() as usize);
            prop_assert_eq!(world.sockets, world.fleet.target());
            prop_assert_eq!(world.steered, world.sockets, "a slot gets no connections");
            prop_assert!(world.loans.is_empty());
            prop_assert!(world.passes.values().all(|&answered| answered));
            prop_assert!(world.restarts.values().all(Option::is_some));
        }
    }
}

#[test]
fn a_worker_that_served_is_replaced_at_once() {
    let mut world = World::serving(2);
    let old = world.of(0);
    world.end(old);
    assert_ne!(world.of(0), old);
    assert!(world.waits.is_empty());
}

#[test]
fn a_slot_in_backoff_is_lent_until_its_worker_is_ready() {
    let mut world = World::serving(2);
    for _ in 0..2 {
        world.end(world.of(0));
        world.ready(world.of(0));
    }
    world.end(world.of(0));
    assert_eq!(world.loans.get(&0), Some(&world.of(1)));
    world.run_until(world.waits[&0]);
    assert_eq!(world.loans.len(), 1, "it only starts");
    world.ready(world.of(0));
    assert_eq!(world.loans.len(), 0);
}

#[test]
fn a_loan_moves_to_another_worker_when_its_holder_dies() {
    let mut world = World::serving(3);
    for _ in 0..2 {
        world.end(world.of(0));
        world.ready(world.of(0));
    }
    world.end(world.of(0));
    let holder = world.loans[&0];
    world.end(holder);
    let next = world.loans[&0];
    assert_ne!(next, holder);
    assert!(world.processes.contains_key(&next));
}

/// A worker that was stopped or busy kept its share of the new connections waiting until it was
/// killed.
#[test]
fn the_slot_of_a_silent_worker_is_lent_until_the_worker_is_heard_again() {
    let mut world = World::serving(3);
    let (silent, others) = (world.of(0), [world.of(1), world.of(2)]);
    let beat = |world: &mut World| {
        for other in others {
            world.fleet.message_received(other, world.now);
            world.act();
        }
        world.run_until(world.now + 100 * MILLISECOND);
    };
    // One heartbeat may be late by its period.
    beat(&mut world);
    assert!(world.loans.is_empty());
    beat(&mut world);
    let lender = world.loans[&0];
    assert!(others.contains(&lender));
    world.fleet.message_received(silent, world.now);
    world.act();
    assert!(world.loans.is_empty());
    // If it stays silent, it is killed, and the slot stays lent until the next one is ready.
    for _ in 0..4 {
        beat(&mut world);
    }
    assert!(world.processes[&silent].is_killed);
    assert!(world.loans.contains_key(&0));
    world.end(silent);
    assert!(world.loans.contains_key(&0));
    world.ready(world.of(0));
    assert!(world.loans.is_empty());
}

#[test]
fn a_slot_is_not_lent_to_a_worker_that_is_silent_while_another_is_heard() {
    let mut world = World::serving(3);
    let (first, second) = (world.of(0), world.of(1));
    world.run_until(world.now + 150 * MILLISECOND);
    world.fleet.message_received(first, world.now);
    world.run_until(world.now + 50 * MILLISECOND);
    assert_eq!(world.loans, BTreeMap::from([(1, first), (2, first)]));
    world.fleet.message_received(second, world.now);
    world.act();
    assert_eq!(world.loans, BTreeMap::from([(2, first)]));
    world.run_until(world.now + 150 * MILLISECOND);
    assert_eq!(world.loans, BTreeMap::from([(0, second), (2, second)]));
    // Nothing else can be done while all are silent.
    world.run_until(world.now + 100 * MILLISECOND);
    assert!(world.fleet.next_deadline().is_none_or(|at| at > world.now));
}

/// The kernel steered to one of the two workers for ever, as the old master had asked it to.
#[test]
fn a_successor_steers_as_soon_as_it_serves_and_not_before() {
    for (count, configured) in [(2, 2), (3, 2), (1, 2)] {
        let mut world = World::succeeding(count);
        world.steered = 99;
        for slot in 0..count {
            world.ready(world.of(slot));
        }
        assert_eq!(world.steered, 99, "the old master serves");
        world.fleet.take_over(configured, world.now);
        world.act();
        assert_eq!(world.steered, configured.min(count));
        world.settle();
        assert_eq!((world.steered, world.sockets), (2, 2));
    }
}

#[test]
fn a_successor_scales_only_when_it_serves() {
    let mut world = World::succeeding(2);
    world.fleet.scale(4, world.now);
    world.act();
    world.ready(world.of(0));
    world.ready(world.of(1));
    assert_eq!((world.sockets, world.scaled.len()), (2, 0));
    world.fleet.take_over(3, world.now);
    world.settle();
    assert_eq!((world.steered, world.sockets), (4, 4));
    assert_eq!(world.scaled, [Ok(())]);
}

/// Its end was not counted, because it drains before it ends.
#[test]
fn a_worker_that_returns_before_it_is_ready_counts_as_failed() {
    let mut world = World::new(settings(true), 1);
    while world.finished.is_none() {
        let worker = world.of(0);
        world.drains(worker);
        world.end(worker);
        if let Some(at) = world.fleet.next_deadline() {
            world.run_until(at);
        }
    }
    let error = world.finished.unwrap().unwrap_err();
    assert_eq!(
        error,
        "no worker became ready: 4 in a row died before, the last of them, worker 0, ended"
    );
}

/// The request was never answered.
#[test]
fn scaling_fails_if_a_worker_returns_before_it_is_ready() {
    let mut world = World::serving(1);
    world.take(&Step::Scale(2));
    world.drains(world.of(1));
    assert_eq!(
        world.scaled,
        [Err("worker 1 ended before it was ready".to_owned())]
    );
}

/// Nor if it was an old slot that failed: scaling waited for it for ever.
#[test]
fn scaling_fails_if_the_next_worker_of_another_slot_fails() {
    let mut world = World::serving(1);
    world.end(world.of(0));
    world.take(&Step::Scale(2));
    world.end(world.of(0));
    assert_eq!(world.scaled.len(), 1);
    assert!(world.scaled[0].is_err());
}

/// The first `TERM` to an old master cut off the requests that its workers finished.
#[test]
fn the_first_stop_after_a_replacement_does_not_kill() {
    let mut world = World::serving(1);
    let worker = world.of(0);
    world.is_stopped = true;
    world.fleet.replaced(world.now);
    world.act();
    world.fleet.stop(world.now);
    world.act();
    assert!(!world.processes[&worker].is_killed);
    world.fleet.stop(world.now);
    world.act();
    assert!(world.processes[&worker].is_killed);
}

#[test]
fn a_worker_that_drains_may_be_too_large() {
    let mut world = World::serving(1);
    let old = world.of(0);
    world.fleet.too_large(old, world.now);
    world.act();
    assert!(!world.processes[&old].is_killed, "it serves");
    world.take(&Step::Reload);
    world.ready(world.of(0));
    world.fleet.too_large(old, world.now);
    world.act();
    assert!(world.processes[&old].is_killed);
}

#[test]
fn a_silent_worker_is_killed() {
    let mut world = World::serving(2);
    let (stuck, other) = (world.of(0), world.of(1));
    for _ in 0..5 {
        world.run_until(world.now + 100 * MILLISECOND);
        world.fleet.message_received(other, world.now);
    }
    assert!(world.processes[&stuck].is_killed);
    assert!(!world.processes[&other].is_killed);
}

/// Advances the clock while neither the master nor its workers run. A message of the last worker
/// is the first thing that the master handles then.
fn suspend(world: &mut World, time: Duration) {
    let due = world.fleet.next_deadline().unwrap();
    world.now += time;
    world.fleet.woke(due, world.now);
    let last = *world.processes.keys().last().unwrap();
    world.fleet.message_received(last, world.now);
    world.act();
}

/// A message that came before the deadlines were handled hid that the master had not run, if the
/// time was about the one after which a silent worker is killed.
#[test]
fn a_master_that_was_stopped_for_a_while_kills_no_worker() {
    let mut settings = settings(true);
    settings.heartbeat = Some(8000 * MILLISECOND);
    for time in [7900, 8100, 60_000] {
        let mut world = World::new(settings.clone(), 2);
        world.ready(world.of(0));
        world.ready(world.of(1));
        suspend(&mut world, time * MILLISECOND);
        world.run_until(world.now + 1000 * MILLISECOND);
        let killed = world.processes.values().any(|process| process.is_killed);
        assert!(!killed, "after {time} milliseconds");
    }
}

#[test]
fn the_time_to_start_does_not_pass_while_the_master_is_stopped() {
    let mut world = World::new(settings(true), 1);
    let starting = world.of(0);
    suspend(&mut world, 60_000 * MILLISECOND);
    world.run_until(world.now + 1500 * MILLISECOND);
    assert!(!world.processes[&starting].is_killed);
    world.run_until(world.now + 1000 * MILLISECOND);
    assert!(world.processes[&starting].is_killed);
}

#[test]
fn a_reload_goes_slot_by_slot_and_keeps_the_old_until_the_new_is_ready() {
    let mut world = World::serving(3);
    let old: Vec<_> = (0..3).map(|slot| world.of(slot)).collect();
    world.take(&Step::Reload);
    for slot in 0..3 {
        assert_eq!(
            world.processes[&old[slot as usize]].state,
            ProcessState::Ready
        );
        assert_ne!(world.of(slot), old[slot as usize]);
        world.ready(world.of(slot));
        assert_eq!(
            world.processes[&old[slot as usize]].state,
            ProcessState::Draining
        );
    }
    assert_eq!(world.passes.values().copied().collect::<Vec<_>>(), [true]);
}

#[test]
fn a_new_worker_that_fails_leaves_the_old_one_and_ends_the_reload() {
    let mut world = World::serving(2);
    let old = world.of(0);
    world.take(&Step::Reload);
    world.end(world.of(0));
    assert_eq!(world.of(0), old);
    assert_eq!(world.processes[&old].state, ProcessState::Ready);
    assert_eq!(world.passes.values().copied().collect::<Vec<_>>(), [true]);
}

#[test]
fn reloads_requested_during_a_reload_become_one_more() {
    let mut world = World::serving(1);
    for _ in 0..5 {
        world.take(&Step::Reload);
    }
    world.ready(world.of(0));
    world.ready(world.of(0));
    assert_eq!(world.starts[&0], 3);
    assert_eq!(
        world.passes.values().copied().collect::<Vec<_>>(),
        [true, true]
    );
}

#[test]
fn a_retired_slot_is_steered_away_from_drained_and_closed() {
    let mut world = World::serving(2);
    let last = world.of(1);
    world.queues.insert(1, 3);
    world.take(&Step::Scale(1));
    assert_eq!(world.steered, 1);
    world.run_until(world.now + 300 * MILLISECOND);
    world.beat();
    assert_eq!(
        world.processes[&last].state,
        ProcessState::Ready,
        "connections wait there"
    );
    world.queues.clear();
    world.run_until(world.now + 200 * MILLISECOND);
    assert_eq!(world.processes[&last].state, ProcessState::Draining);
    world.beat();
    // A connection came at the last moment: another worker accepts it before the socket is
    // retired.
    world.queues.insert(1, 1);
    world.end(last);
    world.run_until(world.now + 200 * MILLISECOND);
    assert_eq!(world.loans.get(&1), Some(&world.of(0)));
    assert_eq!(world.sockets, 2);
    world.queues.clear();
    world.run_until(world.now + 100 * MILLISECOND);
    assert_eq!(world.sockets, 1);
    assert_eq!(world.scaled, [Ok(())]);
}

#[test]
fn a_new_slot_gets_connections_when_its_worker_is_ready() {
    let mut world = World::serving(2);
    world.take(&Step::Scale(3));
    assert_eq!((world.sockets, world.steered), (3, 2));
    assert_eq!(world.scaled, []);
    world.ready(world.of(2));
    assert_eq!(world.steered, 3);
    assert_eq!(world.scaled, [Ok(())]);
}

/// The new master did not have the sockets of the new slots, so the connections that waited
/// there were lost.
#[test]
fn no_slot_is_added_while_a_new_master_starts() {
    let mut world = World::serving(3);
    world.take(&Step::Scale(2));
    world.run_until(world.now + 200 * MILLISECOND);
    world.take(&Step::Scale(5));
    world.fleet.upgrade_begins();
    let last = world.of(2);
    world.end(last);
    world.beat();
    world.run_until(world.now + 100 * MILLISECOND);
    assert_eq!((world.sockets, world.steered), (2, 2));
    world.fleet.upgrade_failed(world.now);
    world.settle();
    assert_eq!((world.sockets, world.steered), (5, 5));
    assert_eq!(world.scaled, [Ok(())]);
}

/// The old master steered after the new one, and connections came to a slot that the new one
/// had retired.
#[test]
fn a_slot_gets_no_connections_while_a_new_master_starts() {
    let mut world = World::serving(2);
    world.take(&Step::Scale(3));
    world.fleet.upgrade_begins();
    world.ready(world.of(2));
    assert_eq!((world.steered, world.scaled.len()), (2, 0));
    // The new master has taken over, and failed in the same moment.
    world.steered = 1;
    world.fleet.upgrade_failed(world.now);
    world.act();
    assert_eq!(world.steered, 3);
    assert_eq!(world.scaled, [Ok(())]);
}

#[test]
fn a_program_that_never_starts_is_given_up() {
    let mut world = World::new(settings(true), 2);
    while world.finished.is_none() {
        match world.pick(0) {
            Some(id) => world.end(id),
            None => world.take(&Step::ToDeadline),
        }
    }
    assert_eq!(world.deaths_before_ready, 4);
    let why = world.finished.unwrap().unwrap_err();
    assert!(why.contains("no worker became ready: 4 in a row"), "{why}");
}

#[test]
fn the_first_stop_drains_and_the_second_kills() {
    let mut world = World::serving(2);
    world.take(&Step::Stop);
    assert!(
        world
            .processes
            .values()
            .all(|process| process.state == ProcessState::Draining)
    );
    assert!(world.processes.values().all(|process| !process.is_killed));
    world.take(&Step::Stop);
    assert!(world.processes.values().all(|process| process.is_killed));
}

/// A signal to a master that drains because of a failure counts as the first stop.
#[test]
fn a_failure_drains_and_only_the_second_stop_kills() {
    let mut world = World::serving(2);
    world.is_stopped = true;
    world.fleet.fail("a failure", world.now);
    world.act();
    let drain = |process: &Process| process.state == ProcessState::Draining && !process.is_killed;
    assert!(world.processes.values().all(drain));
    world.take(&Step::Stop);
    assert!(world.processes.values().all(drain));
    world.take(&Step::Stop);
    assert!(world.processes.values().all(|process| process.is_killed));
    while let Some(id) = world.pick(0) {
        world.end(id);
        world.act();
    }
    assert_eq!(world.finished, Some(Err("a failure".to_owned())));
}

#[test]
fn a_worker_that_drains_longer_than_allowed_is_killed() {
    let mut world = World::serving(1);
    world.take(&Step::Stop);
    world.run_until(world.now + 1000 * MILLISECOND);
    assert!(!world.processes[&world.of(0)].is_killed);
    world.run_until(world.now + GRACE);
    assert!(world.processes[&world.of(0)].is_killed);
}

#[test]
fn the_slot_of_a_stuck_thread_is_lent_until_the_thread_runs_again() {
    let mut world = World::new(settings(false), 2);
    for slot in 0..2 {
        world.ready(world.of(slot));
    }
    let (stuck, other) = (world.of(0), world.of(1));
    for _ in 0..5 {
        world.run_until(world.now + 100 * MILLISECOND);
        world.fleet.message_received(other, world.now);
    }
    assert_eq!(world.loans.get(&0), Some(&other));
    world.fleet.message_received(stuck, world.now);
    world.act();
    assert!(world.loans.is_empty());
}

#[test]
fn a_worker_of_the_maximum_age_is_replaced_as_in_a_reload() {
    let mut aging = settings(true);
    aging.max_age = Some(300 * MILLISECOND);
    let mut world = World::new(aging, 1);
    let old = world.of(0);
    world.ready(old);
    world.run_until(world.now + 300 * MILLISECOND);
    assert_ne!(world.of(0), old);
    assert_eq!(world.processes[&old].state, ProcessState::Ready);
    world.ready(world.of(0));
    assert_eq!(world.processes[&old].state, ProcessState::Draining);
}

/// The failure emptied the queue, and only the slot that failed got a new time.
#[test]
fn after_a_failed_successor_all_old_workers_are_replaced_later() {
    let mut aging = settings(true);
    aging.heartbeat = None;
    aging.max_age = Some(300 * MILLISECOND);
    let mut world = World::new(aging, 2);
    let old = [world.of(0), world.of(1)];
    world.ready(old[0]);
    world.ready(old[1]);
    world.run_until(world.now + 300 * MILLISECOND);
    let successor = |world: &World| *world.processes.keys().next_back().unwrap();
    world.end(successor(&world));
    assert_eq!([world.of(0), world.of(1)], old);
    world.run_until(world.now + 300 * MILLISECOND);
    for _ in 0..2 {
        world.ready(successor(&world));
    }
    for id in old {
        assert_eq!(world.processes[&id].state, ProcessState::Draining);
    }
}

/// A failed reload postponed the replacement for age of the slot whose successor failed.
#[test]
fn a_failed_reload_does_not_change_when_a_worker_is_old() {
    let mut aging = settings(true);
    aging.heartbeat = None;
    aging.max_age = Some(300 * MILLISECOND);
    let mut world = World::new(aging, 1);
    let old = world.of(0);
    world.ready(old);
    world.run_until(world.now + 200 * MILLISECOND);
    world.take(&Step::Reload);
    world.end(world.of(0));
    assert_eq!(world.of(0), old);
    world.run_until(world.now + 100 * MILLISECOND);
    assert_ne!(world.of(0), old);
}

/// A stuck worker leaves the queue, because it is killed and another one is started. But a
/// thread cannot be killed.
#[test]
fn an_old_thread_that_was_stuck_and_runs_again_is_replaced_later() {
    let mut aging = settings(false);
    aging.max_age = Some(300 * MILLISECOND);
    let mut world = World::new(aging, 2);
    let old = [world.of(0), world.of(1)];
    world.ready(old[0]);
    world.ready(old[1]);
    world.run_until(world.now + 300 * MILLISECOND);
    let first = (0..2).find(|&slot| world.of(slot) != old[slot as usize]);
    let first = first.expect("a successor");
    let second = 1 - first;
    let stuck = old[second as usize];
    world.fleet.message_received(old[first as usize], world.now);
    world.run_until(world.now + 100 * MILLISECOND);
    assert!(world.processes[&stuck].is_killed, "it is silent");
    world.ready(world.of(first));
    assert_eq!(
        world.of(second),
        stuck,
        "it is not replaced while it is stuck"
    );
    for _ in 0..3 {
        world.beat();
        world.run_until(world.now + 100 * MILLISECOND);
    }
    assert_ne!(world.of(second), stuck);
}

/// A drain without a deadline got one that lay in the past, so the worker was killed at
/// once.
#[test]
fn a_worker_that_drains_without_a_deadline_is_not_killed() {
    let mut settings = settings(true);
    settings.drain = Duration::MAX;
    let mut world = World::new(settings, 1);
    let worker = world.of(0);
    world.ready(worker);
    world.take(&Step::Stop);
    assert_eq!(world.fleet.next_deadline(), None);
    world.fleet.tick(world.now + 3_600_000 * MILLISECOND);
    world.act();
    assert!(!world.processes[&worker].is_killed);
}

/// The user can set each of these times, and some overflowed when they were added to the
/// time of the clock.
#[test]
fn the_longest_times_do_not_overflow() {
    let mut endless = settings(true);
    endless.drain = Duration::MAX;
    endless.heartbeat = Some(Duration::MAX);
    endless.startup = Duration::MAX;
    endless.restarts = Restarts::new()
        .max_immediate(0)
        .period(Duration::MAX)
        .min_wait(Duration::MAX)
        .max_wait(Duration::MAX)
        .stable(Duration::MAX);
    endless.max_age = Some(300 * MILLISECOND);
    let mut world = World::new(endless.clone(), 2);
    let old = world.of(0);
    world.ready(old);
    world.ready(world.of(1));
    world.run_until(world.now + 300 * MILLISECOND);
    assert_ne!(world.of(0), old, "it is old enough to be replaced");
    world.end(world.of(1));
    assert!(world.waits[&1] > world.now);
    world.take(&Step::Stop);

    endless.max_age = Some(Duration::MAX);
    let mut world = World::new(endless, 1);
    world.ready(world.of(0));
    assert_eq!(world.fleet.next_deadline(), None);
}

fn delayed(delay: Duration) -> World {
    let mut settings = settings(true);
    settings.heartbeat = None;
    settings.drain_delay = delay;
    let mut world = World::new(settings, 2);
    world.ready(world.of(0));
    world.ready(world.of(1));
    world
}

/// Drained, and not before.
fn is_draining(world: &World) -> bool {
    let mut processes = world.processes.values();
    processes.all(|process| process.state == ProcessState::Draining)
}

#[test]
fn workers_serve_and_are_replaced_until_the_delay_has_passed() {
    let mut world = delayed(500 * MILLISECOND);
    world.fleet.stop(world.now);
    world.act();
    assert!(world.fleet.is_stopping() && world.fleet.has_ready_worker());
    assert!(!is_draining(&world));
    world.end(world.of(0));
    world.ready(world.of(0));
    assert_eq!(world.starts[&0], 2);
    world.run_until(world.now + 499 * MILLISECOND);
    assert!(!is_draining(&world));
    assert_eq!(
        (&world.delays[..], world.drains),
        (&[500 * MILLISECOND][..], 0)
    );
    world.run_until(world.now + MILLISECOND);
    assert!(is_draining(&world));
    assert_eq!((world.delays.len(), world.drains), (1, 1));
    world.is_stopped = true;
    world.end(world.of(0));
    world.end(world.of(1));
    assert_eq!(world.finished, Some(Ok(())));
}

#[test]
fn a_stop_with_a_delay_ends_a_reload_and_scaling() {
    let mut world = delayed(500 * MILLISECOND);
    let old = [world.of(0), world.of(1)];
    world.take(&Step::Reload);
    world.take(&Step::Scale(4));
    let started = world.processes.len();
    world.fleet.stop(world.now);
    world.act();
    // No worker is started, and the successor drains.
    assert_eq!(world.processes.len(), started);
    assert_eq!([0, 1].map(|slot| world.incumbent(slot)), old.map(Some));
    assert_ne!(world.of(0), old[0]);
    let state = |id: WorkerId| world.processes[&id].state;
    assert_eq!(state(world.of(0)), ProcessState::Draining);
    assert_eq!(old.map(state), [ProcessState::Ready; 2]);
    world.fleet.fail("the master has failed", world.now);
    world.act();
    assert!(is_draining(&world));
}

#[test]
fn a_second_stop_ends_the_delay_and_kills() {
    for delay in [MILLISECOND, Duration::MAX] {
        let mut world = delayed(delay);
        world.fleet.stop(world.now);
        world.act();
        if delay == Duration::MAX {
            assert_eq!(world.fleet.next_deadline(), None);
        }
        world.is_stopped = true;
        world.fleet.stop(world.now);
        world.act();
        assert!(world.processes.values().all(|process| process.is_killed));
        world.end(world.of(0));
        world.end(world.of(1));
        assert_eq!(world.finished, Some(Ok(())));
    }
}

#[test]
fn there_is_no_delay_of_zero_and_none_when_a_successor_serves() {
    for (delay, is_upgraded) in [(Duration::ZERO, false), (Duration::MAX, true)] {
        let mut world = delayed(delay);
        world.is_stopped = true;
        if is_upgraded {
            world.fleet.stop_without_delay(world.now);
        } else {
            world.fleet.stop(world.now);
        }
        world.act();
        assert!(is_draining(&world));
        assert_eq!((world.delays.len(), world.drains), (0, 1));
        assert!(world.processes.values().all(|process| !process.is_killed));
    }
}
