//! [`Slot`], the place of one worker, with the workers that are in it.
//!
//! ```text
//!              started                 ready
//!   (vacant) ───────────▶ incumbent: Starting ─────▶ Ready ──────▶ leaving
//!      ▲  ▲                  │ died                   │ died  drain    │ ended
//!      │  └── back-off ◀─────┴────────────────────────┘               ▼
//!      │                                                            (gone)
//!      └ a successor starts beside a ready incumbent. It replaces the incumbent when
//!        its batch is complete; then the old worker leaves. If the batch fails, the
//!        successor leaves.
//! ```
//!
//! # Invariants
//!
//! 1. There is a successor only beside an incumbent, which was ready when the successor was
//!    started. Both may be ready, while the successor is checked, bakes, or waits for the
//!    other successors of its batch.
//! 2. A leaving worker has been asked to drain, or is being killed.
//! 3. `start_at` is set only while there is no incumbent.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use crate::supervisor::policy::Backoff;
use crate::supervisor::status::WorkerState;

/// Identifies one start of a worker. A master never uses an id twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::supervisor) struct WorkerId(pub(super) u64);

/// A worker that was started and has not ended.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Member {
    pub(in crate::supervisor) id: WorkerId,
    pub(in crate::supervisor) phase: MemberPhase,
    pub(in crate::supervisor) started: Instant,
    /// When its last message came.
    pub(super) last_message: Instant,
    /// The worker was killed or, if it is a thread, given up.
    pub(super) is_killed: bool,
    /// When the worker has reached its maximum age. `None` before it is ready, and while it
    /// is queued to be replaced for its age.
    pub(super) retires: Option<Instant>,
}

/// The phase that a worker is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum MemberPhase {
    Starting,
    Ready {
        since: Instant,
    },
    /// With `None` the worker may drain for ever.
    Leaving {
        deadline: Option<Instant>,
    },
}

#[derive(Debug)]
pub(in crate::supervisor) struct Slot {
    pub(in crate::supervisor) number: u32,
    pub(in crate::supervisor) incumbent: Option<Member>,
    pub(super) successor: Option<Member>,
    pub(super) leaving: Vec<Member>,
    pub(super) backoff: Backoff,
    pub(super) start_at: Option<Instant>,
    /// Since when the slot has no ready worker, if it has none.
    pub(super) vacant_since: Instant,
    /// The worker of another slot that serves the sockets of this one.
    pub(super) lent_to: Option<WorkerId>,
    /// The slot has to be lent, and there is no worker to lend it to.
    pub(super) lacks_lender: bool,
    /// How many workers were started in this slot.
    pub(super) starts: u64,
    /// How many of them were started because another had died.
    pub(in crate::supervisor) restarts: u64,
    /// Whether a worker was ever ready here. From then on the slot gets a share of the new
    /// connections.
    pub(super) is_open: bool,
    pub(super) retiring: Option<Retiring>,
}

/// The state of a slot that is being retired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retiring {
    /// When to check its queues again.
    pub(super) check_at: Instant,
    /// Since when its queues have been empty.
    pub(super) quiet_since: Option<Instant>,
    /// Its workers were asked to drain.
    pub(super) is_drained: bool,
}

/// The position of a worker in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberPosition {
    Incumbent,
    Successor,
    Leaving,
}

impl Member {
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, MemberPhase::Ready { .. }) && !self.is_killed
    }

    /// Returns how long the worker has served, if it is ready.
    pub(super) fn served(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            MemberPhase::Ready { since } => Some(now.duration_since(since)),
            MemberPhase::Starting | MemberPhase::Leaving { .. } => None,
        }
    }
}

impl Slot {
    pub(super) fn new(number: u32, now: Instant) -> Self {
        Self {
            number,
            incumbent: None,
            successor: None,
            leaving: Vec::new(),
            backoff: Backoff::default(),
            start_at: None,
            vacant_since: now,
            lent_to: None,
            lacks_lender: false,
            starts: 0,
            restarts: 0,
            is_open: false,
            retiring: None,
        }
    }

    /// Returns whether the slot is served by its own worker.
    pub(super) fn is_served(&self) -> bool {
        self.incumbent.as_ref().is_some_and(Member::is_ready)
    }

    /// Returns whether no worker is in the slot.
    pub(in crate::supervisor) fn is_empty(&self) -> bool {
        self.incumbent.is_none() && self.successor.is_none() && self.leaving.is_empty()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.incumbent
            .iter()
            .chain(&self.successor)
            .chain(&self.leaving)
    }

    /// Returns the workers that drain, or are being killed.
    pub(in crate::supervisor) fn leaving(&self) -> impl Iterator<Item = &Member> {
        self.leaving.iter()
    }

    pub(super) fn position(&self, id: WorkerId) -> Option<MemberPosition> {
        let is = |member: &Option<Member>| member.as_ref().is_some_and(|member| member.id == id);
        if is(&self.incumbent) {
            Some(MemberPosition::Incumbent)
        } else if is(&self.successor) {
            Some(MemberPosition::Successor)
        } else if self.leaving.iter().any(|member| member.id == id) {
            Some(MemberPosition::Leaving)
        } else {
            None
        }
    }

    pub(super) fn member(&self, id: WorkerId) -> Option<&Member> {
        self.members().find(|member| member.id == id)
    }

    pub(super) fn member_mut(&mut self, id: WorkerId) -> Option<&mut Member> {
        self.incumbent
            .iter_mut()
            .chain(&mut self.successor)
            .chain(&mut self.leaving)
            .find(|member| member.id == id)
    }

    /// Returns what `status` shows for this slot: one of its workers, and the state.
    pub(in crate::supervisor) fn state(&self) -> (Option<&Member>, WorkerState) {
        match &self.incumbent {
            Some(member) if matches!(member.phase, MemberPhase::Starting) => {
                (Some(member), WorkerState::Starting)
            }
            Some(member) if self.retiring.is_some() => (Some(member), WorkerState::Retiring),
            Some(member) => (Some(member), WorkerState::Ready),
            None => match self.leaving.last() {
                Some(member) if self.start_at.is_none() => (Some(member), WorkerState::Draining),
                _ => (None, WorkerState::Backoff),
            },
        }
    }
}
