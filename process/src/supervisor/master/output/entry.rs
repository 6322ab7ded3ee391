//! [`Entry`], what waits in a queue to be written.

use std::mem::size_of;
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use crate::supervisor::log::{EventFacts, LogStream};

/// What the allocator adds to each allocation, at most.
const ALLOCATION: usize = 32;

#[derive(Debug)]
pub(super) enum Entry {
    /// Whole lines of a worker, each with its line end.
    Lines {
        source: Source,
        time: SystemTime,
        lines: Box<[u8]>,
    },
    Event(Box<EventEntry>),
    /// Lines that found the queue full.
    Lost(u64),
    /// Open the file again, and send the result.
    Reopen(SyncSender<Result<(), String>>),
}

/// An event of the master.
#[derive(Debug)]
pub(super) struct EventEntry {
    pub(super) time: SystemTime,
    pub(super) facts: EventFacts,
    pub(super) text: String,
}

/// The origin of a worker's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor::master) struct Source {
    pub(in crate::supervisor::master) slot: u32,
    pub(in crate::supervisor::master) pid: u32,
    pub(in crate::supervisor::master) stream: LogStream,
}

impl Entry {
    /// Returns how many bytes the entry takes: of itself, twice because the queue grows by
    /// doubling, and of what it points to.
    pub(super) fn cost(&self) -> usize {
        let pointed_to = match self {
            Self::Lines { lines, .. } => lines.len() + ALLOCATION,
            Self::Event(event) => event.text.capacity() + size_of::<EventEntry>() + 2 * ALLOCATION,
            Self::Lost(_) | Self::Reopen(_) => 0,
        };
        2 * size_of::<Self>() + pointed_to
    }

    /// Returns how many lines are lost if the entry is.
    pub(super) fn line_count(&self) -> u64 {
        match self {
            Self::Lines { lines, .. } => count_lines(lines),
            Self::Event(_) => 1,
            Self::Lost(_) | Self::Reopen(_) => 0,
        }
    }
}

pub(super) fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}
