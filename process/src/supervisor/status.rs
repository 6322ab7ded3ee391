//! [`Status`], what the commands `status` and `status json` show.
//!
//! The keys of both forms are documented at [`Control`](super::control::Control). Programs read
//! them: a key keeps its name and meaning, and new keys are added after the others.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// The status of the master and its workers. The `status` command writes its `Display`
/// form.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) master: u32,
    pub(super) uptime: Duration,
    /// The open connections of all workers, with those that drain.
    pub(super) connections: u64,
    /// The connections that were accepted by all workers, with those that have ended.
    pub(super) accepted: u64,
    /// The lines of workers and events that could not be written.
    pub(super) lost_lines: u64,
    pub(super) workers: Vec<WorkerStatus>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct WorkerStatus {
    pub(super) slot: u32,
    /// `None` while the slot has no process, as in back-off.
    pub(super) pid: Option<u32>,
    pub(super) state: WorkerState,
    #[serde(serialize_with = "seconds")]
    pub(super) uptime: Duration,
    pub(super) restarts: u64,
    /// `None` if no report of the worker has come.
    #[serde(flatten)]
    pub(super) numbers: WorkerNumbers,
    /// How the last worker of the slot that has ended did so.
    pub(super) last_end: Option<LastEnd>,
}

/// The numbers of a worker that it reports itself, with the age of its report; and its memory.
/// What is not known is `None`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct WorkerNumbers {
    pub(super) connections: Option<u64>,
    pub(super) accepted: Option<u64>,
    /// Resident bytes.
    pub(super) memory: Option<u64>,
    #[serde(serialize_with = "optional_seconds")]
    pub(super) cpu: Option<Duration>,
    #[serde(serialize_with = "optional_seconds")]
    pub(super) beat_age: Option<Duration>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct LastEnd {
    /// For example "was killed by signal 9 because it was silent too long".
    pub(super) cause: String,
    #[serde(serialize_with = "seconds")]
    pub(super) age: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WorkerState {
    Starting,
    Ready,
    /// The worker serves its last connections, as there are to be fewer workers.
    Retiring,
    Draining,
    /// The slot waits for its next start; another worker serves its sockets.
    Backoff,
}

#[derive(Serialize)]
struct Json<'a> {
    master: JsonMaster,
    workers: &'a [WorkerStatus],
}

#[derive(Serialize)]
struct JsonMaster {
    pid: u32,
    #[serde(serialize_with = "seconds")]
    uptime: Duration,
    workers: usize,
    connections: u64,
    accepted: u64,
    lost_lines: u64,
}

impl Status {
    /// Returns the status as a line of JSON.
    pub(super) fn to_json(&self) -> String {
        let json = Json {
            master: JsonMaster {
                pid: self.master,
                uptime: self.uptime,
                workers: self.workers.len(),
                connections: self.connections,
                accepted: self.accepted,
                lost_lines: self.lost_lines,
            },
            workers: &self.workers,
        };
        // Only maps whose keys are not strings cannot be written.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "master pid={} uptime={:.1}s workers={} connections={} accepted={} lost_lines={}",
            self.master,
            self.uptime.as_secs_f64(),
            self.workers.len(),
            self.connections,
            self.accepted,
            self.lost_lines,
        )?;
        for worker in &self.workers {
            let numbers = &worker.numbers;
            write!(
                f,
                "worker {} pid={} state={} uptime={:.1}s restarts={} connections={} accepted={} \
                 memory={} cpu={} beat_age={}",
                worker.slot,
                Known(worker.pid),
                worker.state,
                worker.uptime.as_secs_f64(),
                worker.restarts,
                Known(numbers.connections),
                Known(numbers.accepted),
                Known(numbers.memory),
                Known(numbers.cpu.map(Seconds)),
                Known(numbers.beat_age.map(Seconds)),
            )?;
            match &worker.last_end {
                Some(LastEnd { cause, age }) => {
                    let age = Seconds(*age);
                    let cause = cause.lines().collect::<Vec<_>>().join("; ");
                    writeln!(f, " last_end_age={age} last_end={cause}")?;
                }
                None => writeln!(f, " last_end_age=- last_end=-")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Retiring => "retiring",
            Self::Draining => "draining",
            Self::Backoff => "backoff",
        })
    }
}

/// A value, or "-".
struct Known<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}
