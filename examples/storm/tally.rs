//! Counts how the connections have ended.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::kills::Kills;

/// The stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Connecting,
    /// Waiting for the line of the server, before sending anything.
    Waiting,
    Asking,
    /// The request was written.
    Awaiting,
}

/// How a connection has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    Refused,
    Reset,
    /// The server has closed it.
    Closed,
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ending {
    pub(crate) stage: Stage,
    pub(crate) how: How,
}

/// The counts of a storm.
#[derive(Debug)]
pub(crate) struct Tally {
    greeted: bool,
    /// The times from the start of the connection, or from the last answer, to the answer, in
    /// nanoseconds.
    answers: Histogram<u64>,
    failures: BTreeMap<Ending, u64>,
    /// Connections that were not accepted.
    queue_loss: u64,
    /// Connections that a killed server had accepted before it sent its line.
    unannounced: u64,
    /// Connections of a killed server that had sent its line.
    killed: u64,
    /// Failed connections that no kill explains.
    dropped: u64,
}

impl How {
    /// Returns `None` if the client itself has failed.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            ErrorKind::ConnectionRefused => Some(How::Refused),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected => Some(How::Reset),
            ErrorKind::UnexpectedEof => Some(How::Closed),
            ErrorKind::TimedOut => Some(How::TimedOut),
            _ => None,
        }
    }
}

impl Tally {
    pub(crate) fn new(greeted: bool) -> io::Result<Self> {
        // Up to ten minutes, to three digits.
        let answers =
            Histogram::new_with_bounds(1, 600_000_000_000, 3).map_err(io::Error::other)?;
        Ok(Self {
            greeted,
            answers,
            failures: BTreeMap::new(),
            queue_loss: 0,
            unannounced: 0,
            killed: 0,
            dropped: 0,
        })
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers.len()
    }

    /// Counts an answer, and returns how many there are.
    pub(crate) fn answered(&mut self, took: Duration) -> u64 {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.answers.saturating_record(nanoseconds);
        self.answers.len()
    }

    /// Counts a failed connection, of a killed server or of another.
    pub(crate) fn failed(&mut self, ending: Ending, killed: bool) {
        *self.failures.entry(ending).or_default() += 1;
        *match (ending.stage, ending.how) {
            (Stage::Waiting, How::Closed) => &mut self.unannounced,
            (Stage::Connecting | Stage::Waiting, _) => &mut self.queue_loss,
            _ if killed => &mut self.killed,
            _ => &mut self.dropped,
        } += 1;
    }

    /// Returns whether every connection was answered, except the ones that killed servers had
    /// accepted.
    pub(crate) fn is_well(&self, kills: &Kills) -> bool {
        // A server has at most one connection that it has accepted and not announced.
        let excused = self.unannounced <= kills.count() as u64;
        self.queue_loss + self.dropped == 0 && excused
    }

    /// Formats all counts as a line. A count that is missing is 0.
    pub(crate) fn summary(&self, kills: &Kills) -> String {
        let failed = self.failures.values().sum();
        let mut numbers = vec![
            ("answered".to_owned(), self.answers.len()),
            ("failed".to_owned(), failed),
            ("queue_loss".to_owned(), self.queue_loss),
            ("unannounced".to_owned(), self.unannounced),
            ("killed".to_owned(), self.killed),
            ("dropped".to_owned(), self.dropped),
            ("kills".to_owned(), kills.count() as u64),
        ];
        for (Ending { stage, how }, count) in &self.failures {
            numbers.push((format!("{stage:?}_{how:?}").to_lowercase(), *count));
        }
        for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("max_us", 1.0)] {
            let time = self.answers.value_at_quantile(quantile) / 1000;
            numbers.push((name.to_owned(), time));
        }
        let words = numbers
            .iter()
            .map(|(name, number)| format!(" {name}={number}"));
        std::iter::once("summary".to_owned()).chain(words).collect()
    }

    /// Prints the counts for people.
    pub(crate) fn print(&self, kills: &Kills, length: Duration) {
        let answered = self.answers.len();
        let rate = answered as f64 / length.as_secs_f64();
        let time = |quantile| Duration::from_nanos(self.answers.value_at_quantile(quantile));
        eprintln!("{answered} answers in {length:.1?}, {rate:.0} per second");
        let (median, high, longest) = (time(0.5), time(0.99), time(1.0));
        eprintln!("median {median:.1?}, p99 {high:.1?}, longest {longest:.1?}");
        for (Ending { stage, how }, count) in &self.failures {
            eprintln!("{count} failed: {how:?} while {stage:?}");
        }
        let mut restarts = kills.restarts.clone();
        restarts.sort();
        if let (Some(best), Some(worst)) = (restarts.first(), restarts.last()) {
            let middle = restarts[restarts.len() / 2];
            eprintln!("until the next one's first line: {best:.1?}, {middle:.1?}, {worst:.1?}");
        }
        if self.greeted {
            let count = kills.count();
            eprintln!(
                "{count} servers killed, with them {} accepted",
                self.killed + self.unannounced
            );
            eprintln!("lost in the queue: {}", self.queue_loss);
        }
        eprintln!("failed without an explanation: {}", self.dropped);
    }
}
