//! [`Producer`], what a queue knows of one process that sends items without asking.

use std::sync::atomic::AtomicU64;

use super::words::Credits;
use crate::ipc::broker::state::{Key, Violation};

/// A producer in another process or thread.
///
/// The queue keeps room for each credit that it grants. The producer takes a credit and then sends an
/// item. The queue can take all credits back that the producer has not taken, at any time. The
/// items of the other ones are on their way, and come soon, or the process has ended.
///
/// **Invariant:** `reserved` is the number of credits that were granted, were not taken back, and
/// whose items have not come.
pub(super) struct Producer<M> {
    pub(super) key: Key,
    credits: Credits<M>,
    reserved: u64,
    /// The producer sends nothing more than what it has sent.
    is_gone: bool,
}

impl<M: AsRef<[AtomicU64]>> Producer<M> {
    pub(super) fn new(key: Key, credits: Credits<M>) -> Self {
        Self {
            key,
            credits,
            reserved: 0,
            is_gone: false,
        }
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Grants credits. Returns how many.
    pub(super) fn grant(&mut self, count: u64) -> u64 {
        if count == 0 || self.is_gone {
            return 0;
        }
        self.reserved += count;
        self.credits.grant(count);
        count
    }

    /// Takes back the credits that the producer has not taken. Returns how many.
    pub(super) fn reclaim(&mut self) -> u64 {
        if self.reserved == 0 {
            return 0;
        }
        // A broken producer may have written any number.
        let reclaimed = self.credits.reclaim().min(self.reserved);
        self.reserved -= reclaimed;
        reclaimed
    }

    /// Takes back the credits of a producer that has ended, and grants no more. Returns how many.
    pub(super) fn leave(&mut self) -> u64 {
        self.is_gone = true;
        self.reclaim()
    }

    /// Records that an item has come, for which the producer has taken a credit.
    ///
    /// # Errors
    ///
    /// Returns an error if the producer had no credit.
    pub(super) fn came(&mut self) -> Result<(), Violation> {
        let left = self.reserved.checked_sub(1);
        self.reserved = left.ok_or(Violation("an item without room for it"))?;
        Ok(())
    }
}
