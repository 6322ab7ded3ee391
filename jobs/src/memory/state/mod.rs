//! [`State`], the jobs of one queue in memory. It decides everything, and does no I/O and reads no
//! clock: each operation is passed the time.
//!
//! ```text
//!   push ──► Delayed ──time──► Ready ──lease──► Leased ──finish──► (its outcome)
//!              ▲                 ▲                │  │
//!              │                 ├──lease ends────┘  └──dead──► Dead ──discard──► (its outcome)
//!              └──retry──────────┼──unstarted─────┘              │
//!                                └──────────requeue──────────────┘
//! ```
//!
//! # Invariants
//!
//! 1. A job is in the set of its stage, and in no other: the ready jobs of its function, the
//!    delayed jobs, the leases with the jobs of its session, the dead letters.
//! 2. `lease` of a job names the last lease that was not answered. It stays when the time of the
//!    lease passes, so that a late worker may still finish a job that no other worker has leased
//!    since. No two leases have the same name.
//! 3. Jobs are leased in the order in which they were pushed, so a job that comes back is the
//!    next one of its function.
//! 4. The outcome of a job is stored once, when the job is removed. The outcome of a dead letter
//!    is its error, before and after it is removed.

mod dead;
mod kept;
mod lease;
#[cfg(test)]
mod model;
mod push;
mod ready;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{Counts, Function, JobId, Outcome};
#[cfg(test)]
use kept::DAY;
use kept::{Keys, Outcomes};
pub(crate) use lease::{AtMost, Failed, LeaseName};
pub(crate) use push::Full;
use ready::Ready;

/// The time since the queue was created.
pub(crate) type Time = Duration;

/// A client that leases jobs. Its leases end when it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session(pub(crate) u64);

/// How much a queue may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The number of jobs that have not ended, with the dead letters.
    pub(crate) jobs: usize,
    /// The length of their arguments.
    pub(crate) bytes: usize,
    /// The number of outcomes. The oldest one is removed for a new one.
    pub(crate) outcomes: usize,
    /// The length of the outcomes.
    pub(crate) outcome_bytes: usize,
    /// The number of keys. The oldest one is forgotten for a new one.
    pub(crate) keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs: 1_000_000,
            bytes: 1 << 30,
            outcomes: 1_000_000,
            outcome_bytes: 256 << 20,
            keys: 1_000_000,
        }
    }
}

/// The jobs of a queue.
#[derive(Debug)]
pub(crate) struct State {
    /// The first part of each id, different for each queue, so that an id of a queue that existed
    /// before is not mistaken for one of this queue.
    prefix: String,
    limits: Limits,
    jobs: HashMap<u64, Job>,
    /// The length of the arguments of all jobs.
    bytes: usize,
    ready: Ready,
    delayed: BTreeSet<(Time, u64)>,
    /// The leased jobs by the end of their leases.
    leases: BTreeSet<(Time, u64)>,
    held: HashMap<Session, BTreeSet<u64>>,
    /// The dead letters in the order of their deaths.
    dead: BTreeMap<u64, u64>,
    keys: Keys,
    outcomes: Outcomes,
    last_job: u64,
    last_lease: u64,
    last_death: u64,
}

#[derive(Debug)]
struct Job {
    function: Rc<Function>,
    payload: Vec<u8>,
    /// How many leases count.
    attempts: u32,
    /// Invariant 2.
    lease: Option<u64>,
    stage: Stage,
}

impl Job {
    /// Returns how long the parts are that the producer has set.
    fn bytes(&self) -> usize {
        self.payload.len() + self.function.name.len()
    }
}

#[derive(Debug)]
enum Stage {
    Ready,
    Delayed(Time),
    Leased { end: Time, session: Session },
    Dead { number: u64, error: String },
}

/// What is known of the outcome of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    Ended(Outcome),
    /// The job has not ended. The number finds it when it ends.
    Pending(u64),
    Unknown,
}

impl State {
    pub(crate) fn new(prefix: String, limits: Limits) -> Self {
        Self {
            prefix,
            keys: Keys::new(limits.keys),
            outcomes: Outcomes::new(limits.outcomes, limits.outcome_bytes),
            limits,
            jobs: HashMap::new(),
            bytes: 0,
            ready: Ready::default(),
            delayed: BTreeSet::new(),
            leases: BTreeSet::new(),
            held: HashMap::new(),
            dead: BTreeMap::new(),
            last_job: 0,
            last_lease: 0,
            last_death: 0,
        }
    }

    /// Returns the outcome of a job.
    pub(crate) fn outcome(&mut self, now: Time, id: &JobId) -> Lookup {
        self.outcomes.forget(now);
        let Some(number) = self.number(id) else {
            return Lookup::Unknown;
        };
        match self.jobs.get(&number).map(|job| &job.stage) {
            Some(Stage::Dead { error, .. }) => Lookup::Ended(Outcome::Dead(error.clone())),
            Some(_) => Lookup::Pending(number),
            None => match self.outcomes.get(number) {
                Some(outcome) => Lookup::Ended(outcome.clone()),
                None => Lookup::Unknown,
            },
        }
    }

    /// Makes the jobs ready whose delay has passed, or whose lease has ended, and forgets keys and
    /// outcomes whose time has passed. Returns the functions of the jobs that became ready, each
    /// as often as it did.
    pub(crate) fn advance(&mut self, now: Time) -> Vec<Rc<Function>> {
        let mut functions = Vec::new();
        while let Some(&(time, number)) = self.delayed.first()
            && time <= now
        {
            functions.extend(self.make_ready(number));
        }
        while let Some(&(time, number)) = self.leases.first()
            && time <= now
        {
            functions.extend(self.make_ready(number));
        }
        self.keys.forget(now);
        self.outcomes.forget(now);
        functions
    }

    /// Returns when [`advance`](Self::advance) has something to do for the jobs.
    pub(crate) fn next_event(&self) -> Option<Time> {
        let times = [self.delayed.first(), self.leases.first()];
        times.into_iter().flatten().map(|(time, _)| *time).min()
    }

    /// Ends the leases of a client. Returns the functions of the jobs, which are ready.
    pub(crate) fn session_gone(&mut self, session: Session) -> Vec<Rc<Function>> {
        let numbers = self.held.remove(&session).unwrap_or_default();
        let ready = numbers.into_iter().map(|number| self.make_ready(number));
        ready.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// Returns whether a job of a function may be leased.
    pub(crate) fn has_ready(&self, function: &Function) -> bool {
        self.ready.has(function)
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Counts {
            waiting: count(self.ready.len()),
            delayed: count(self.delayed.len()),
            leased: count(self.leases.len()),
            dead: count(self.dead.len()),
        }
    }

    fn id(&self, number: u64) -> JobId {
        JobId(format!("{}-{number}", self.prefix))
    }

    fn number(&self, id: &JobId) -> Option<u64> {
        let number = id.0.strip_prefix(&*self.prefix)?.strip_prefix('-')?;
        number.parse().ok()
    }

    /// Puts a job among the ready ones, and returns its function.
    fn make_ready(&mut self, number: u64) -> Option<Rc<Function>> {
        self.leave(number);
        let job = self.jobs.get_mut(&number)?;
        job.stage = Stage::Ready;
        self.ready.insert(&job.function, number);
        Some(Rc::clone(&job.function))
    }

    /// Takes a job out of the set of its stage (invariant 1). The caller sets its stage, or
    /// removes it.
    fn leave(&mut self, number: u64) {
        let Some(job) = self.jobs.get(&number) else {
            return;
        };
        match job.stage {
            Stage::Ready => self.ready.remove(&job.function, number),
            Stage::Delayed(time) => {
                self.delayed.remove(&(time, number));
            }
            Stage::Leased { end, session } => {
                self.leases.remove(&(end, number));
                if let Some(held) = self.held.get_mut(&session) {
                    held.remove(&number);
                    if held.is_empty() {
                        self.held.remove(&session);
                    }
                }
            }
            Stage::Dead { number: death, .. } => {
                self.dead.remove(&death);
            }
        }
    }

    /// Removes a job from the queue.
    fn remove(&mut self, number: u64) {
        self.leave(number);
        if let Some(job) = self.jobs.remove(&number) {
            self.bytes -= job.payload.len();
        }
    }
}
