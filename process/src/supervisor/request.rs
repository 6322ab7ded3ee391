//! What signals and the control socket ask of the master: [`Request`].

use std::fmt;
use std::time::Duration;

use coreloop_sync::oneshot;

/// Something to do, and where to say what came of it. Those that send a signal
/// hear nothing: they drop the receiver.
#[derive(Debug)]
pub(crate) enum Request {
    /// How are the workers?
    Status(oneshot::Sender<Status>),
    /// Replace all workers, one by one. Answered when the last one is ready.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Start the program's file again and give it the sockets; end when it is
    /// ready. Answered when it is, or when it has failed.
    Upgrade(oneshot::Sender<Result<(), String>>),
    /// Have this many workers. Answered when there are.
    Scale(Count, oneshot::Sender<Result<(), String>>),
    /// Drain to the deadline, then end. A second one ends at once.
    Stop,
}

/// How many workers there are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Exactly(u32),
    OneMore,
    OneLess,
}

/// A picture of the master and its workers. `Display` writes it for `status`.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) master: u32,
    pub(crate) uptime: Duration,
    pub(crate) workers: Vec<WorkerStatus>,
}

#[derive(Debug, Clone)]
pub(crate) struct WorkerStatus {
    pub(crate) slot: u32,
    /// `None` while there is none, as in a back-off.
    pub(crate) pid: Option<u32>,
    pub(crate) state: WorkerState,
    pub(crate) uptime: Duration,
    pub(crate) restarts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    Starting,
    Ready,
    Draining,
    /// Waits for its next start; a sibling serves its sockets.
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
            WorkerState::Starting => "starting",
            WorkerState::Ready => "ready",
            WorkerState::Draining => "draining",
            WorkerState::Backoff => "backoff",
        })
    }
}
