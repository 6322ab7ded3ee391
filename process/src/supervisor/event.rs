//! [`Event`], which a supervisor reports of its workers.

use std::fmt;
use std::time::Duration;

use super::fleet::KillReason;

/// Something that happened to the workers, as a supervisor reports it.
///
/// The supervisor writes its `Display` form to the [log](crate::Log), by default to the standard
/// error.
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
    /// The master listens at an address. A `bind` call with several addresses has an event for
    /// each.
    Listening {
        /// The number of the `bind` call, from 0.
        index: usize,
        /// The address, with the port that the system chose for port 0.
        address: String,
    },
    /// A worker was started.
    Started {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// How many workers the slot has had before.
        generation: u64,
    },
    /// A worker serves.
    Ready {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// The time from its start to now.
        after: Duration,
    },
    /// A worker has ended.
    Ended {
        /// Its slot.
        slot: u32,
        /// Its process, if it was one.
        pid: Option<u32>,
        /// How it ended, for example "was killed by signal 9".
        how: String,
        /// Whether the master had asked it to drain.
        expected: bool,
    },
    /// A worker has to be killed. A thread cannot be killed, and stays.
    Killed {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// Why it has to be killed, for example "was silent too long".
        why: &'static str,
    },
    /// The next worker of a slot is started after a wait.
    Waits {
        /// The slot.
        slot: u32,
        /// How long the wait is.
        wait: Duration,
    },
    /// An operation for a slot failed: a worker could not be started, or new connections
    /// could not be steered.
    Failed {
        /// The slot.
        slot: u32,
        /// What failed, and why.
        error: String,
    },
    /// The new workers of these slots are ready, and serve beside the old ones for the
    /// [bake time](crate::Reload::bake_time).
    Bakes {
        /// The slots whose workers are being replaced.
        slots: Vec<u32>,
        /// How long both serve.
        time: Duration,
    },
    /// A new worker has failed its [check](crate::Reload::check), and drains.
    CheckFailed {
        /// Its slot.
        slot: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
        /// The error of the check.
        error: String,
    },
    /// The worker of a slot was replaced by request, or because it has reached a limit such
    /// as its maximum age. Or it was not, and stays.
    Replaced {
        /// The slot.
        slot: u32,
        /// The reason, if it was not replaced.
        result: Result<(), String>,
    },
    /// A reload has replaced all workers, or has failed.
    Reloaded(Result<(), String>),
    /// Scaling has reached the requested number of workers, or has failed.
    Scaled(Result<u32, String>),
    /// An upgrade has succeeded: the new master, with this process id, serves instead of
    /// this one. Or it has failed.
    Upgraded(Result<u32, String>),
    /// The log files were opened again, or could not be and the old ones stay in use.
    Reopened(Result<(), String>),
    /// The program stops: the workers drain after the
    /// [delay](crate::Supervisor::drain_delay), which is not zero.
    Delaying {
        /// The delay.
        time: Duration,
    },
    /// The program stops: the workers drain.
    Stopping,
    /// The service manager at `NOTIFY_SOCKET` could not be notified. This is reported once; the
    /// program runs as it does without a service manager.
    NotNotified {
        /// The address, and why it could not be reached.
        error: String,
    },
    /// The control socket or the pid file was removed, and could not be created again by a
    /// reload.
    NotRestored {
        /// What could not be created, and why.
        error: String,
    },
}

impl Event {
    /// Returns whether the event is worth a line in the log.
    pub(super) fn is_news(&self) -> bool {
        !matches!(self, Self::Started { .. })
    }
}

impl KillReason {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NeverReady => "was not ready in time",
            Self::Silent => "was silent too long",
            Self::Deadline => "did not end in time",
            Self::TooLarge => "has too much memory while it drains",
            Self::StopRequested => "has to end at once",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { address, .. } => write!(f, "listening on {address}"),
            Self::Started { slot, pid, .. } => write!(f, "{} starts", Named(*slot, *pid)),
            Self::Ready { slot, pid, after } => {
                let worker = Named(*slot, *pid);
                write!(f, "{worker} is ready after {:.1} ms", milliseconds(*after))
            }
            Self::Ended { slot, pid, how, .. } => write!(f, "{} {how}", Named(*slot, *pid)),
            Self::Killed { slot, pid, why } => {
                let outcome = if pid.is_some() {
                    "is killed"
                } else {
                    "is given up"
                };
                write!(f, "{} {why} and {outcome}", Named(*slot, *pid))
            }
            Self::Waits { slot, wait } => {
                let wait = milliseconds(*wait);
                write!(f, "worker {slot} is started again in {wait:.0} ms")
            }
            Self::Failed { slot, error } => write!(f, "worker {slot}: {error}"),
            Self::Bakes { slots, time } => {
                let time = time.as_secs_f64();
                let (plural, verb, old) = match slots.len() {
                    1 => ("", "serves", "one"),
                    _ => ("s", "serve", "ones"),
                };
                let slots: Vec<_> = slots.iter().map(u32::to_string).collect();
                let slots = slots.join(", ");
                write!(
                    f,
                    "the new worker{plural} {slots} {verb} beside the old {old} for {time:.1} s"
                )
            }
            Self::CheckFailed { slot, pid, error } => {
                write!(f, "{} has failed its check: {error}", Named(*slot, *pid))
            }
            Self::Replaced {
                slot,
                result: Ok(()),
            } => write!(f, "worker {slot} was replaced"),
            Self::Replaced {
                slot,
                result: Err(why),
            } => write!(f, "worker {slot} was not replaced: {why}"),
            Self::Reloaded(Ok(())) => f.write_str("all workers were replaced"),
            Self::Reloaded(Err(why)) => write!(f, "the reload ended early: {why}"),
            Self::Scaled(Ok(workers)) => write!(f, "there are {workers} workers"),
            Self::Scaled(Err(why)) => write!(f, "the number of workers is not as asked: {why}"),
            Self::Upgraded(Ok(pid)) => write!(f, "a new master (pid {pid}) has taken over"),
            Self::Upgraded(Err(why)) => write!(f, "the upgrade failed: {why}"),
            Self::Reopened(Ok(())) => f.write_str("the log files were reopened"),
            Self::Reopened(Err(why)) => write!(f, "the log files were not reopened: {why}"),
            Self::Delaying { time } => write!(f, "stopping: the workers drain in {time:?}"),
            Self::Stopping => f.write_str("stopping: the workers drain"),
            Self::NotNotified { error } => {
                write!(f, "the service manager cannot be notified: {error}")
            }
            Self::NotRestored { error } => {
                write!(
                    f,
                    "a file that was removed cannot be created again: {error}"
                )
            }
        }
    }
}

/// A worker as it is named in a line of the log.
struct Named(u32, Option<u32>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(slot, Some(pid)) => write!(f, "worker {slot} (pid {pid})"),
            Self(slot, None) => write!(f, "worker {slot}"),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
