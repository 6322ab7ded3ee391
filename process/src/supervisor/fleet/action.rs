//! [`Action`], the instructions and reports of the fleet to the master.

use std::time::Duration;

use super::WorkerId;

/// An instruction of the fleet, or a report that it has decided something.
///
/// [`Reloaded`](Self::Reloaded), [`Scaled`](Self::Scaled), [`Waits`](Self::Waits) and the
/// others that are documented as reports only report: the master answers requests and emits
/// events, and does nothing to workers or sockets. All other actions are instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) enum Action {
    /// Start a worker.
    Start {
        slot: u32,
        id: WorkerId,
        generation: u64,
    },
    /// Ask a worker to drain.
    Drain { id: WorkerId },
    /// Kill a worker.
    Kill { id: WorkerId, why: KillReason },
    /// Forget a thread that did not end in time.
    Abandon { id: WorkerId },
    /// Lend the sockets of a slot to a worker of another.
    Adopt { by: WorkerId, slot: u32 },
    /// Take the sockets of a slot back from the worker that they were lent to.
    Release { by: WorkerId, slot: u32 },
    /// Bind sockets for this many slots, and call [`Fleet::grown`](super::Fleet::grown) or
    /// [`Fleet::not_grown`](super::Fleet::not_grown).
    Grow { slots: u32 },
    /// Send new connections to the first slots, this many.
    Steer { slots: u32 },
    /// Count the connections that wait at a slot, and call
    /// [`Fleet::queue`](super::Fleet::queue).
    CheckQueue { slot: u32 },
    /// Retire the sockets of the last slot.
    Close { slot: u32 },
    /// Check a new worker that is ready, and call
    /// [`Fleet::on_checked`](super::Fleet::on_checked).
    Check { id: WorkerId },
    /// End the check of a worker, whose result is not needed any more.
    EndCheck { id: WorkerId },
    /// A report: a stop was requested, and the workers drain after this delay.
    Delays { time: Duration },
    /// A report: the workers drain, as a stop was requested.
    Drains,
    /// A report: a new worker has failed its check.
    CheckFailed { id: WorkerId, error: String },
    /// A report: the new workers of these slots serve beside the old ones for this time.
    Bakes { slots: Vec<u32>, time: Duration },
    /// A report: the worker of a slot was replaced, or was not, outside a reload.
    Replaced {
        slot: u32,
        result: Result<(), String>,
    },
    /// A report: the request with this ticket to replace the worker of one slot has ended.
    Restarted {
        ticket: u64,
        result: Result<(), String>,
    },
    /// A report: the reload with this number has ended.
    Reloaded {
        pass: u64,
        result: Result<(), String>,
    },
    /// A report: the requested number of slots is reached and all are served, or scaling has
    /// failed.
    Scaled(Result<(), String>),
    /// A report: a slot waits before its next worker is started.
    Waits { slot: u32, wait: Duration },
    /// End the master: all workers have ended.
    Finish(Result<(), String>),
}

/// Why a worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum KillReason {
    NeverReady,
    Silent,
    Deadline,
    /// It drains, and has far more memory than a worker may have.
    TooLarge,
    /// A second request to stop, or the fleet has given up.
    StopRequested,
}
