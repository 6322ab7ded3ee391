//! [`Slot`]: the place of one worker, and who is in it.
//!
//! ```text
//!              started                 ready
//!   (vacant) ───────────▶ incumbent: Starting ─────▶ Ready ──────▶ leaving
//!      ▲  ▲                  │ died                   │ died  drain    │ ended
//!      │  └── back-off ◀─────┴────────────────────────┘               ▼
//!      │                                                            (gone)
//!      └ a successor starts beside a ready incumbent and takes its place when it
//!        is ready; then the old one leaves.
//! ```
//!
//! 1. There is a successor only beside an incumbent that is ready.
//! 2. Who leaves has been told to drain and has a deadline.
//! 3. `start_at` is set only while there is no incumbent.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use crate::supervisor::policy::Backoff;
use crate::supervisor::request::WorkerState;

/// One start of a worker. No two are the same in the life of a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::supervisor) struct WorkerId(pub(in crate::supervisor) u64);

/// A worker that was started and has not ended.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Member {
    pub(in crate::supervisor) id: WorkerId,
    pub(in crate::supervisor) phase: Phase,
    pub(in crate::supervisor) started: Instant,
    /// When it last said anything.
    pub(in crate::supervisor) heard: Instant,
    /// It was killed, or, where it cannot be, given up.
    pub(in crate::supervisor) is_killed: bool,
    /// When it has served long enough.
    pub(in crate::supervisor) retires: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Phase {
    Starting,
    Ready { since: Instant },
    Leaving { deadline: Instant },
}

#[derive(Debug)]
pub(in crate::supervisor) struct Slot {
    pub(in crate::supervisor) number: u32,
    pub(in crate::supervisor) incumbent: Option<Member>,
    pub(in crate::supervisor) successor: Option<Member>,
    pub(in crate::supervisor) leaving: Vec<Member>,
    pub(in crate::supervisor) backoff: Backoff,
    pub(in crate::supervisor) start_at: Option<Instant>,
    /// Since when nobody is ready here.
    pub(in crate::supervisor) vacant_since: Instant,
    /// Who of another slot serves the sockets of this one.
    pub(in crate::supervisor) lent_to: Option<WorkerId>,
    /// How many workers were started here.
    pub(in crate::supervisor) starts: u64,
    /// How many of them because another had died.
    pub(in crate::supervisor) restarts: u64,
    /// Whether a worker was ever ready here: then it has its share of connections.
    pub(in crate::supervisor) is_open: bool,
    pub(in crate::supervisor) retiring: Option<Retiring>,
}

/// A slot on its way out.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Retiring {
    /// When to look at its queues again.
    pub(in crate::supervisor) look_at: Instant,
    /// Since when nothing waits in them.
    pub(in crate::supervisor) quiet_since: Option<Instant>,
    /// Its workers were told to drain.
    pub(in crate::supervisor) is_drained: bool,
}

/// Where in its slot a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Place {
    Incumbent,
    Successor,
    Leaving,
}

impl Member {
    pub(in crate::supervisor) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. }) && !self.is_killed
    }

    /// How long it has served, if it ever did.
    pub(in crate::supervisor) fn served(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Ready { since } => Some(now.duration_since(since)),
            Phase::Starting | Phase::Leaving { .. } => None,
        }
    }
}

impl Slot {
    pub(in crate::supervisor) fn new(number: u32, now: Instant) -> Slot {
        Slot {
            number,
            incumbent: None,
            successor: None,
            leaving: Vec::new(),
            backoff: Backoff::default(),
            start_at: None,
            vacant_since: now,
            lent_to: None,
            starts: 0,
            restarts: 0,
            is_open: false,
            retiring: None,
        }
    }

    /// Whether its own worker serves.
    pub(in crate::supervisor) fn is_served(&self) -> bool {
        self.incumbent.as_ref().is_some_and(Member::is_ready)
    }

    pub(in crate::supervisor) fn is_empty(&self) -> bool {
        self.incumbent.is_none() && self.successor.is_none() && self.leaving.is_empty()
    }

    pub(in crate::supervisor) fn members(&self) -> impl Iterator<Item = &Member> {
        self.incumbent
            .iter()
            .chain(&self.successor)
            .chain(&self.leaving)
    }

    pub(in crate::supervisor) fn place(&self, id: WorkerId) -> Option<Place> {
        let is = |member: &Option<Member>| member.as_ref().is_some_and(|member| member.id == id);
        if is(&self.incumbent) {
            Some(Place::Incumbent)
        } else if is(&self.successor) {
            Some(Place::Successor)
        } else if self.leaving.iter().any(|member| member.id == id) {
            Some(Place::Leaving)
        } else {
            None
        }
    }

    pub(in crate::supervisor) fn member_mut(&mut self, id: WorkerId) -> Option<&mut Member> {
        self.incumbent
            .iter_mut()
            .chain(&mut self.successor)
            .chain(&mut self.leaving)
            .find(|member| member.id == id)
    }

    /// What `status` says of it: the worker that matters, and how it is.
    pub(in crate::supervisor) fn state(&self) -> (Option<&Member>, WorkerState) {
        match &self.incumbent {
            Some(member) if matches!(member.phase, Phase::Starting) => {
                (Some(member), WorkerState::Starting)
            }
            Some(member) => (Some(member), WorkerState::Ready),
            None => match self.leaving.last() {
                Some(member) if self.start_at.is_none() => (Some(member), WorkerState::Draining),
                _ => (None, WorkerState::Backoff),
            },
        }
    }
}
