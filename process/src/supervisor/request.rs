//! [`Request`], which signals and the control socket send to the master.

use std::ffi::c_int;

use coreloop_sync::{mpsc, oneshot};

use crate::metrics::Format;

use super::status::Status;

/// Why requests are refused from the first request to stop.
pub(super) const ENDING: &str = "the master is ending";

/// A request to the master, with the channel for its result. A signal has no use for the
/// result, and drops the receiver.
#[derive(Debug)]
pub(super) enum Request {
    /// Return the status of the master and its workers. Answered when the workers have sent
    /// fresh numbers, or soon without them.
    Status(oneshot::Sender<Status>),
    /// Return the metrics, like the status.
    Metrics(Format, oneshot::Sender<String>),
    /// Return whether new connections should be sent here.
    Ready(oneshot::Sender<Result<(), String>>),
    /// Answer, to show that the master's loop turns.
    Live(oneshot::Sender<Result<(), String>>),
    /// Replace all workers. Answered when the last new worker is ready.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Start the program's file as a new master and give it the sockets; end when it is
    /// ready. Answered when it is ready, or has failed.
    Upgrade(oneshot::Sender<Result<(), String>>),
    /// Change the number of workers. Answered when it is reached.
    Scale(Count, oneshot::Sender<Result<(), String>>),
    /// Open the log files again, and ask the workers to open theirs. Answered when the master's
    /// files are open.
    Reopen(oneshot::Sender<Result<(), String>>),
    /// Replace the worker of one slot. Answered when the new worker is ready, or has failed.
    Restart(u32, oneshot::Sender<Result<(), String>>),
    /// Drain the workers until the deadline, then end. A second request ends at once.
    Stop,
    /// A signal of this number to a master that process 1 has started, and what it requests.
    /// While the master drains after an upgrade, it passes the signal on.
    Signalled(c_int, Option<Box<Request>>),
}

/// The requested number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Exactly(u32),
    OneMore,
    OneLess,
}

/// Sends a request and waits for the answer; `None` if the master ends before.
pub(super) async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Option<T> {
    let (sender, answer) = oneshot::channel();
    requests.send(request(sender)).await.ok()?;
    answer.await.ok()
}
