//! The messages that are sent over a [`Channel`](super::Channel).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metrics::Change;
use crate::report::Report;
use crate::text::shortened;

/// The contents of the first message to a worker: all that it needs to start. The worker's
/// sockets come with it, in the order of `sockets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The slot of the worker, from 0.
    pub(crate) slot: u32,
    /// The target number of workers.
    pub(crate) workers: u32,
    /// How many workers the slot has had before.
    pub(crate) generation: u64,
    /// The process id of the master. If the worker's parent is another process, the master
    /// has ended.
    pub(crate) master: u32,
    /// How long the worker may be silent. It sends four heartbeats in this time.
    pub(crate) heartbeat: Option<Duration>,
    /// How long the connections of the worker may stay open when it drains.
    pub(crate) drain: Duration,
    /// The core that the worker is pinned to.
    pub(crate) core: Option<u32>,
    /// After how many requests the worker reports that it retires.
    pub(crate) max_requests: Option<u64>,
    /// What each socket is, in the order of the `bind` calls and, within a call, of its
    /// addresses.
    pub(crate) sockets: Vec<StartSocket>,
}

/// One socket of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartSocket {
    /// The number of the `bind` call. A call has a socket for each of its addresses.
    pub(crate) number: usize,
    pub(crate) kind: SocketKind,
}

/// The kind of a bound socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SocketKind {
    /// A listening TCP socket that only this worker has.
    Tcp,
    /// A UDP socket that only this worker has.
    Udp,
    /// A listening TCP socket that all workers share.
    SharedTcp,
    /// A listening Unix socket that all workers share.
    SharedUnix,
    /// A UDP socket that all workers share.
    SharedUdp,
}

/// A message from the master to a worker.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// The first message, sent once. Boxed, as it is the largest.
    Start(Box<Start>),
    /// Serve the sockets of this slot too, whose worker is down. The sockets come with the
    /// message, in the order of [`Start::sockets`].
    Adopt { slot: u32 },
    /// Stop serving the sockets of this slot: its own worker serves again.
    Release { slot: u32 },
    /// Drain: accept no more connections, finish the open ones, and end.
    Drain,
    /// Send the metrics that have changed, and then [`ToMaster::Report`].
    Report,
}

/// A message from a worker to the master.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToMaster {
    /// The worker serves.
    Ready,
    /// The worker's loop is not stuck. Boxed, as it is the largest.
    Heartbeat(Box<Report>),
    /// The answer to [`ToWorker::Report`].
    Report(Box<Report>),
    /// Changes of the worker's metrics.
    Metrics(Vec<Change>),
    /// The worker has served enough requests, and is to be replaced.
    Retire,
    /// The worker has given up all its sockets, and finishes its open connections.
    Draining,
    /// The worker's function returned this error, or panicked; the worker ends.
    Failed { error: String },
}

/// How many bytes of an error are sent.
const MAX_ERROR: usize = 4096;

/// Returns an error to be sent, shortened to its beginning if it is long: a message that is too
/// long, or finds no room, would be lost as a whole.
pub(crate) fn short_error(error: String) -> String {
    shortened(error, MAX_ERROR)
}

/// A message from an old master to its successor: one `Sockets` message for each
/// [`Inherited`], then `Complete`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToSuccessor {
    /// The sockets of one `bind` call come with the message, at most 253 of them; a further
    /// message brings more.
    Sockets(Inherited),
    /// There are no more sockets.
    Complete,
    /// The successor took too long, and must not serve.
    GivenUp,
}

/// A message from a successor to the old master.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum ToPredecessor {
    /// The successor serves: the old master can drain and end.
    Ready,
    /// The successor cannot serve, and ends.
    Failed { error: String },
}

/// Identifies the sockets of one `bind` call by its address and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inherited {
    pub(crate) address: String,
    pub(crate) kind: SocketKind,
}
