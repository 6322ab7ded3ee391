//! [`Queue`], the entries that wait for the thread that writes them.
//!
//! # Invariants
//!
//! 1. The memory of all entries, and of the one that is being written, is at most the limit; or
//!    one entry of lines is alone in the queue. Entries without lines, of which a request makes
//!    one, are not refused.
//! 2. Lines that are refused are counted, and the count comes out in their place: after what was
//!    queued before, and before what is queued afterwards.
//! 3. The lock is held only for moments, never while something is written.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::entry::Entry;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    limit: usize,
    /// All lines that were lost, in this queue and in writing.
    lost_lines: AtomicU64,
}

#[derive(Debug, Default)]
struct QueueState {
    entries: VecDeque<Entry>,
    /// The cost of the entries, and of the one that is being written.
    bytes: usize,
    /// Lines that were refused since the last entry.
    refused: u64,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limit,
            lost_lines: AtomicU64::new(0),
        }
    }

    /// Adds an entry, or counts its lines as lost if there is no room.
    pub(super) fn push(&self, entry: Entry) {
        let lines = entry.line_count();
        let cost = entry.cost();
        let mut state = self.state();
        if lines > 0 && state.bytes > 0 {
            // After a loss, half of the queue has to be free first. Otherwise each entry that is
            // written would make room for one more, and there would be a gap after each line.
            let limit = self.limit / if state.refused > 0 { 2 } else { 1 };
            if state.bytes.saturating_add(cost) > limit {
                state.refused += lines;
                self.lost(lines);
                return;
            }
        }
        let refused = std::mem::take(&mut state.refused);
        if refused > 0 {
            state.add(Entry::Lost(refused));
        }
        state.add(entry);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next entry; `None` if the queue is closed and empty. The entry counts as
    /// queued until its cost is [released](Self::release).
    pub(super) fn next(&self) -> Option<Entry> {
        let mut state = self.state();
        loop {
            if let Some(entry) = state.entries.pop_front() {
                return Some(entry);
            }
            let refused = std::mem::take(&mut state.refused);
            if refused > 0 {
                let entry = Entry::Lost(refused);
                state.bytes += entry.cost();
                return Some(entry);
            }
            if state.is_closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn release(&self, cost: usize) {
        self.state().bytes -= cost;
    }

    /// Nothing is added after this.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    /// Counts lines that were lost.
    pub(super) fn lost(&self, lines: u64) {
        self.lost_lines.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn lost_lines(&self) -> u64 {
        self.lost_lines.load(Ordering::Relaxed)
    }

    /// Returns the bytes that the queue accounts for, and those that its memory takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> (usize, usize) {
        let state = self.state();
        let taken = state.entries.iter().map(|entry| match entry {
            Entry::Lines { lines, .. } => lines.len(),
            Entry::Event(event) => event.text.capacity() + size_of_val(&**event),
            Entry::Lost(_) | Entry::Reopen(_) => 0,
        });
        let slots = state.entries.capacity() * size_of::<Entry>();
        (state.bytes, taken.sum::<usize>() + slots)
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn add(&mut self, entry: Entry) {
        self.bytes += entry.cost();
        self.entries.push_back(entry);
    }
}
