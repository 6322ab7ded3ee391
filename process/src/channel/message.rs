//! The messages of [`Channel`](super::Channel).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The first message to a worker: all that it needs to begin. With it come the
/// worker's sockets, in the order of `sockets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Which worker this is, from 0.
    pub(crate) slot: u32,
    /// How many workers there are, or are to be.
    pub(crate) workers: u32,
    /// How many workers this slot has had before.
    pub(crate) generation: u64,
    /// The process that started it: who else is its parent, is not its master.
    pub(crate) master: u32,
    /// How long it may be silent. It says four times as often that its loop turns.
    pub(crate) heartbeat: Option<Duration>,
    /// How long connections may go on when it is to stop.
    pub(crate) drain: Duration,
    /// The core it stays on.
    pub(crate) core: Option<u32>,
    /// What kind of socket each descriptor is: one for each `bind`, in order.
    pub(crate) sockets: Vec<SocketKind>,
}

/// What was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SocketKind {
    /// A TCP socket that listens, of this worker alone.
    Tcp,
    /// A UDP socket of this worker alone.
    Udp,
    /// A TCP socket that listens and that all workers have.
    SharedTcp,
    /// A Unix socket that listens and that all workers have.
    SharedUnix,
    /// A UDP socket that all workers have.
    SharedUdp,
}

/// From the master to a worker.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The first message, and only the first. Boxed, as it is the longest.
    Start(Box<Start>),
    /// Serve the sockets of this slot too, whose worker is down. With it come its
    /// sockets, in the order of [`Start::sockets`].
    Adopt { slot: u32 },
    /// No longer serve the sockets of this slot: its worker is back.
    Release { slot: u32 },
    /// Accept no more, finish what is open until the deadline, and end.
    Drain,
}

/// From a worker to the master.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToMaster {
    /// It serves.
    Ready,
    /// Its loop turns.
    Beat,
    /// It has let go of all sockets, and finishes what is open.
    Draining,
    /// Its function returned this error; it ends.
    Failed { error: String },
}

/// From an old master to the one that replaces it. One [`Inherited`] a message,
/// then `Complete`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToSuccessor {
    /// With it come the sockets of one `bind`, or the first 253 of them.
    Sockets(Inherited),
    /// There are no more.
    Complete,
    /// It took too long, and is not to serve.
    GivenUp,
}

/// From the one that replaces it to an old master.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToPredecessor {
    /// It serves: the old one may go.
    Ready,
    /// It cannot serve; it ends.
    Failed { error: String },
}

/// The sockets of one `bind`, by the address that it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inherited {
    pub(crate) address: String,
    pub(crate) kind: SocketKind,
}
