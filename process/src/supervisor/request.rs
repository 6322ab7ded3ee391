//! [`Request`], which signals and the control socket send to the master.

use std::ffi::c_int;
use std::fmt;
use std::time::Duration;

use coreloop_sync::oneshot;

/// A request to the master, with the channel for its result. A signal has no use for the
/// result, and drops the receiver.
#[derive(Debug)]
pub(super) enum Request {
    /// Return the status of the master and its workers.
    Status(oneshot::Sender<Status>),
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

/// The status of the master and its workers. The `status` command writes its `Display`
/// form.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) master: u32,
    pub(super) uptime: Duration,
    pub(super) workers: Vec<WorkerStatus>,
}

#[derive(Debug, Clone)]
pub(super) struct WorkerStatus {
    pub(super) slot: u32,
    /// `None` while the slot has no process, as in back-off.
    pub(super) pid: Option<u32>,
    pub(super) state: WorkerState,
    pub(super) uptime: Duration,
    pub(super) restarts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerState {
    Starting,
    Ready,
    Draining,
    /// The slot waits for its next start; another worker serves its sockets.
    Backoff,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "master pid={} uptime={:.1}s workers={}",
            self.master,
            self.uptime.as_secs_f64(),
            self.workers.len()
        )?;
        for worker in &self.workers {
            let pid = worker
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            writeln!(
                f,
                "worker {} pid={pid} state={} uptime={:.1}s restarts={}",
                worker.slot,
                worker.state,
                worker.uptime.as_secs_f64(),
                worker.restarts
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
        })
    }
}
