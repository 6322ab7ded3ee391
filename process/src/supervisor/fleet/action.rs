//! [`Action`]: what the fleet asks of the master.

use std::time::Duration;

use super::WorkerId;

/// What the master does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) enum Action {
    Start {
        slot: u32,
        id: WorkerId,
        generation: u64,
    },
    Drain {
        id: WorkerId,
    },
    Kill {
        id: WorkerId,
        why: Why,
    },
    /// A thread did not end in time: forget it.
    Abandon {
        id: WorkerId,
    },
    Adopt {
        by: WorkerId,
        slot: u32,
    },
    Release {
        by: WorkerId,
        slot: u32,
    },
    /// Have sockets for this many slots, and say [`Fleet::grown`].
    Grow {
        slots: u32,
    },
    /// New connections go to this many slots.
    Steer {
        slots: u32,
    },
    /// Say [`Fleet::queue`] how many connections wait there.
    LookAtQueue {
        slot: u32,
    },
    /// Close the sockets of the last slot.
    Close {
        slot: u32,
    },
    /// The pass of that number is over.
    Reloaded {
        pass: u64,
        result: Result<(), String>,
    },
    /// There are as many slots as were asked for, and all serve; or there will not be.
    Scaled(Result<(), String>),
    /// A slot waits for its next worker.
    Waits {
        slot: u32,
        wait: Duration,
    },
    /// Everything has ended.
    Finish(Result<(), String>),
}

/// Why a worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Why {
    NeverReady,
    Silent,
    Deadline,
    Told,
}
