//! [`WorkerEvent`], which a worker reports, and [`WorkerMetrics`], what it has done in numbers.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::engine::JobId;
use crate::error::Error;

/// Something that happened to a worker of a queue.
///
/// Without a hook of [`Worker::on_event`](super::Worker::on_event), the worker writes its `Display`
/// form to the standard error for [`Dead`](Self::Dead), [`Unstored`](Self::Unstored),
/// [`EngineFailed`](Self::EngineFailed) and [`EngineRecovered`](Self::EngineRecovered).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// An attempt has failed, and there will be another one.
    Failed {
        /// The job.
        id: JobId,
        /// The name of its function.
        name: String,
        /// The number of the attempt.
        attempt: u32,
        /// Why it has failed.
        error: String,
        /// How long the job waits for the next attempt.
        delay: Duration,
    },
    /// The last attempt has failed, and the job is among the dead letters.
    Dead {
        /// The job.
        id: JobId,
        /// The name of its function.
        name: String,
        /// The number of attempts.
        attempts: u32,
        /// Why the last one has failed.
        error: String,
    },
    /// Another worker has the job, because this one could not renew its lease in time. The job is
    /// cancelled here, and its result, if there is one, is dropped.
    Taken {
        /// The job.
        id: JobId,
        /// The name of its function.
        name: String,
    },
    /// The engine refuses to store how an attempt has failed, although its other operations
    /// succeed. The worker does not renew the lease any more, so that the job is leased again when
    /// it has ended.
    Unstored {
        /// The job.
        id: JobId,
        /// The name of its function.
        name: String,
        /// Why the engine refuses it.
        error: Error,
    },
    /// An operation of the engine has failed. The worker repeats it, and reports no more failures
    /// until one has succeeded.
    EngineFailed {
        /// Why it has failed.
        error: Error,
    },
    /// An operation has succeeded again.
    EngineRecovered,
}

impl WorkerEvent {
    /// Whether the event is written if there is no hook.
    pub(super) fn is_serious(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::Taken { .. })
    }
}

impl fmt::Display for WorkerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed {
                id,
                name,
                attempt,
                error,
                delay,
            } => write!(
                f,
                "attempt {attempt} of the job {id} (`{name}`) has failed, and the next one is in \
                 {delay:.1?}: {error}"
            ),
            Self::Dead {
                id,
                name,
                attempts,
                error,
            } => write!(
                f,
                "the job {id} (`{name}`) is dead after {attempts} attempts: {error}"
            ),
            Self::Taken { id, name } => write!(
                f,
                "another worker has the job {id} (`{name}`), because its lease has ended here"
            ),
            Self::Unstored { id, name, error } => write!(
                f,
                "the failure of the job {id} (`{name}`) cannot be stored, so its lease ends: \
                 {error}"
            ),
            Self::EngineFailed { error } => {
                write!(f, "the engine of the job queue has failed: {error}")
            }
            Self::EngineRecovered => f.write_str("the engine of the job queue works again"),
        }
    }
}

/// What a worker of a queue has done, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// How many jobs have a result that was stored.
    pub done: u64,
    /// How many attempts have failed that will be repeated.
    pub failed: u64,
    /// How many jobs the worker has put among the dead letters.
    pub dead: u64,
    /// How many jobs were returned to the queue before they had started.
    pub returned: u64,
    /// How many jobs another worker took while this one had them.
    pub taken: u64,
    /// How many results and failures could not be stored, because another worker had the job, or
    /// had finished it, or because the engine refused them.
    pub lost: u64,
    /// How many jobs the worker has leased now.
    pub held: usize,
}

/// The numbers that a worker counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) done: Cell<u64>,
    pub(super) failed: Cell<u64>,
    pub(super) dead: Cell<u64>,
    pub(super) returned: Cell<u64>,
    pub(super) taken: Cell<u64>,
    pub(super) lost: Cell<u64>,
    pub(super) held: Cell<usize>,
}

/// Adds one.
pub(super) fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl Counters {
    pub(super) fn metrics(&self) -> WorkerMetrics {
        WorkerMetrics {
            done: self.done.get(),
            failed: self.failed.get(),
            dead: self.dead.get(),
            returned: self.returned.get(),
            taken: self.taken.get(),
            lost: self.lost.get(),
            held: self.held.get(),
        }
    }
}
