//! [`Event`]: what a supervisor tells of its workers.

use std::fmt;
use std::time::Duration;

use super::fleet::Why;

/// Something that happened to the workers, as a supervisor reports it.
///
/// Its `Display` is what the supervisor writes to the standard error.
///
/// # Examples
///
/// ```no_run
/// use coreloop::process::{Event, Supervisor};
///
/// # fn main() -> std::io::Result<()> {
/// Supervisor::new()
///     .bind("0.0.0.0:7777")?
///     .on_event(|event| {
///         if let Event::Killed { slot, why, .. } = event {
///             eprintln!("page somebody: worker {slot} {why}");
///         }
///     })
/// #   .run(async |_worker| Ok(()))
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The master listens there.
    Listening {
        /// Which `bind`, from 0.
        index: usize,
        /// With the port that port 0 became.
        address: String,
    },
    /// A worker was started.
    Started {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// How many the slot had before.
        generation: u64,
    },
    /// It serves.
    Ready {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// The time since it was started.
        after: Duration,
    },
    /// It is over.
    Ended {
        /// Its slot.
        slot: u32,
        /// Its process, if it was one.
        pid: Option<u32>,
        /// How: "was killed by signal 9", say.
        how: String,
        /// Whether it was told to.
        expected: bool,
    },
    /// It has to be killed. A thread cannot be, and stays.
    Killed {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// Why: "was silent too long", say.
        why: &'static str,
    },
    /// The next worker of the slot is not started yet.
    Waits {
        /// The slot.
        slot: u32,
        /// How long.
        wait: Duration,
    },
    /// Something could not be done for a slot: a worker could not be started, or new
    /// connections could not be steered.
    Failed {
        /// The slot.
        slot: u32,
        /// Why.
        error: String,
    },
    /// All workers were replaced, or not.
    Reloaded(Result<(), String>),
    /// There are as many workers as were asked for, or not.
    Scaled(Result<u32, String>),
    /// A new master, which is that process, serves instead of this one, or not.
    Upgraded(Result<u32, String>),
    /// The workers drain.
    Stopping,
}

impl Event {
    /// Whether it is worth a line of a log.
    pub(super) fn is_news(&self) -> bool {
        !matches!(self, Event::Started { .. })
    }
}

impl Why {
    pub(super) fn text(self) -> &'static str {
        match self {
            Why::NeverReady => "was not ready in time",
            Why::Silent => "was silent too long",
            Why::Deadline => "did not end in time",
            Why::Told => "has to end at once",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Listening { address, .. } => write!(f, "listening on {address}"),
            Event::Started { slot, pid, .. } => write!(f, "{} starts", Named(*slot, *pid)),
            Event::Ready { slot, pid, after } => {
                let worker = Named(*slot, *pid);
                write!(f, "{worker} is ready after {:.1} ms", milliseconds(*after))
            }
            Event::Ended { slot, pid, how, .. } => write!(f, "{} {how}", Named(*slot, *pid)),
            Event::Killed { slot, pid, why } => {
                let outcome = if pid.is_some() {
                    "is killed"
                } else {
                    "is given up"
                };
                write!(f, "{} {why} and {outcome}", Named(*slot, *pid))
            }
            Event::Waits { slot, wait } => {
                let wait = milliseconds(*wait);
                write!(f, "worker {slot} is started again in {wait:.0} ms")
            }
            Event::Failed { slot, error } => write!(f, "worker {slot}: {error}"),
            Event::Reloaded(Ok(())) => f.write_str("all workers were replaced"),
            Event::Reloaded(Err(why)) => write!(f, "the reload ended early: {why}"),
            Event::Scaled(Ok(workers)) => write!(f, "there are {workers} workers"),
            Event::Scaled(Err(why)) => write!(f, "the number of workers is not as asked: {why}"),
            Event::Upgraded(Ok(pid)) => write!(f, "a new master (pid {pid}) has taken over"),
            Event::Upgraded(Err(why)) => write!(f, "the upgrade failed: {why}"),
            Event::Stopping => f.write_str("stopping: the workers drain"),
        }
    }
}

/// A worker as a line names it.
struct Named(u32, Option<u32>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Named(slot, Some(pid)) => write!(f, "worker {slot} (pid {pid})"),
            Named(slot, None) => write!(f, "worker {slot}"),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
