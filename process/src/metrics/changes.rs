//! [`Outbox`], which finds the values that have changed since they were sent to the master,
//! in pieces that are small enough for any socket.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::registry::{self, Kind, Labels, Series};

/// How many bytes a piece has at most, and a little more if a single series is longer. A socket
/// that a poll reports as writable takes a piece as a whole: it has a quarter of its buffer
/// left at least on Linux, and 2,048 bytes on the other systems.
const MAX_PIECE: usize = 1200;

/// What the names of the variants and the numbers of a change take, at most.
const OVERHEAD: usize = 24;

/// A change of one series of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// What a series is, sent before its first value, and again if its help text has changed.
    Define(Definition),
    /// The value of a series that was defined.
    Set { series: u32, value: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// The number of the series, which is the worker's own.
    pub(crate) series: u32,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) labels: Labels,
}

/// The values that were sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    sent: Vec<Sent>,
    /// Where the search for changes continues.
    next: usize,
}

#[derive(Debug)]
struct Sent {
    value: Option<u64>,
    has_help: bool,
}

/// Changes to be sent in one message.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) changes: Vec<Change>,
    /// The series at which the next piece begins.
    pub(crate) end: usize,
}

impl Outbox {
    /// Begins to look for changes at the first series.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
    }

    /// Returns the next changes; `None` if all series were looked at.
    pub(crate) fn piece(&self) -> Option<Piece> {
        let mut changes = Vec::new();
        let mut length = 0;
        let mut end = self.next;
        for series in registry::series_from(self.next) {
            let index = end;
            end += 1;
            let Some(new) = self.change(index, &series) else {
                continue;
            };
            length += new.iter().map(Change::length).sum::<usize>();
            if length > MAX_PIECE && !changes.is_empty() {
                end = index;
                break;
            }
            changes.extend(new);
        }
        (!changes.is_empty()).then_some(Piece { changes, end })
    }

    /// Notes that the changes of a piece were sent, and continues at its `end`.
    pub(crate) fn sent(&mut self, changes: Vec<Change>, end: usize) {
        for change in changes {
            match change {
                Change::Define(definition) => {
                    let sent = self.entry(definition.series);
                    sent.has_help = !definition.help.is_empty();
                }
                Change::Set { series, value } => self.entry(series).value = Some(value),
            }
        }
        self.next = end;
    }

    fn change(&self, index: usize, series: &Series) -> Option<Vec<Change>> {
        let number = u32::try_from(index).ok()?;
        let value = series.value.load(Ordering::Relaxed);
        let help = series.family.help.get();
        let sent = self.sent.get(index);
        let is_defined = sent.is_some_and(|sent| {
            sent.value.is_some() && (sent.has_help || help.is_none_or(String::is_empty))
        });
        let set = Change::Set {
            series: number,
            value,
        };
        if !is_defined {
            let definition = Definition {
                series: number,
                kind: series.family.kind,
                name: series.family.name.clone(),
                help: help.cloned().unwrap_or_default(),
                labels: series.labels.clone(),
            };
            return Some(vec![Change::Define(definition), set]);
        }
        (sent?.value != Some(value)).then(|| vec![set])
    }

    fn entry(&mut self, series: u32) -> &mut Sent {
        let index = series as usize;
        while self.sent.len() <= index {
            self.sent.push(Sent {
                value: None,
                has_help: false,
            });
        }
        &mut self.sent[index]
    }
}

impl Change {
    fn length(&self) -> usize {
        match self {
            Self::Define(Definition {
                name, help, labels, ..
            }) => {
                let labels = labels
                    .iter()
                    .map(|(name, value)| name.len() + value.len() + 4);
                OVERHEAD + name.len() + help.len() + labels.sum::<usize>()
            }
            Self::Set { .. } => OVERHEAD,
        }
    }
}
