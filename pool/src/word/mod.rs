//! [`Word`], the state of one slot of a worker, which a master and the worker share.
//!
//! A word is `sequence << 3 | state`. The sequence is the number of one send, and belongs to
//! no other send of the pool.
//!
//! ```text
//!            queue, by the master, before it writes the frame
//!   FREE ──────────────────────────▶ QUEUED
//!                start, by the worker │  │ revoke, by the master
//!                                     ▼  ▼
//!                              STARTED    REVOKED
//!   ask_cancel, by the master     │
//!                                 ▼
//!                          CANCEL_ASKED
//! ```
//!
//! When the slot is free again, `queue` begins the next send from whichever state is left.
//!
//! # Invariants
//!
//! 1. Only the master writes a new sequence to a word, and only when no job is in the slot:
//!    the slot is new, its last job was revoked, or the master has read the result of the
//!    job. The worker writes no word at the end of a job.
//! 2. Every other transition is a compare-and-swap from one state of one sequence. So of a
//!    start and a revoke exactly one succeeds, and the frame of an earlier send starts
//!    nothing, although the slot is in use again: it finds another sequence.
//! 3. A worker starts a job before it decodes the arguments. So when the worker is dead,
//!    [`Word::has_started`] is `false` only if no code of the job has run.
//! 4. A word is input from another process. A broken worker may write anything to its own
//!    page: that changes how the master judges the jobs of this worker, and nothing else.
//!
//! # Orderings
//!
//! A compare-and-swap that succeeds reads the newest value whatever its ordering. Apart from
//! words, the processes share the position of each slot. The master sets it before it queues, and
//! the worker reads it after it has started: so the store of `queue` is a release, and the
//! successful swap of `start` an acquire. A frame comes through a socket, which the kernel
//! locks in both processes, and the master judges a dead worker after the kernel has reported
//! its end. Both give a stronger order than the words need.

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory of a new page is zero, so this is the state of a slot that had no job yet.
const FREE: u64 = 0;
/// The job is written to the socket, or about to be.
const QUEUED: u64 = 1;
/// The worker has begun with the job, and may have finished it.
const STARTED: u64 = 2;
/// The master has taken the job back: the worker skips its frame.
const REVOKED: u64 = 3;
/// The worker has begun with the job, and the job is asked to end early.
const CANCEL_ASKED: u64 = 4;

/// The number of bits of the state.
const STATE_BITS: u32 = 3;

/// The state of one slot.
///
/// `A` is a reference to an atomic number in the page, and in the model tests loom's type.
pub(crate) struct Word<A = AtomicU64>(A);

/// The operations of an atomic number that a word needs.
pub(crate) trait Atomic {
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
    fn swap_if(&self, current: u64, new: u64, success: Ordering) -> Result<u64, u64>;
}

impl<A: Atomic> Word<A> {
    pub(crate) fn of(number: A) -> Self {
        Self(number)
    }

    /// Marks the job of a new send as queued. The master calls this before it writes the
    /// frame, because the worker skips a frame whose job is not queued.
    pub(crate) fn queue(&self, sequence: u64) {
        self.0.store(word(sequence, QUEUED), Ordering::Release);
    }

    /// Takes a queued job back, and returns whether it was still queued. If so, the worker
    /// will skip its frame, and the slot is free at once.
    pub(crate) fn revoke(&self, sequence: u64) -> bool {
        self.change(sequence, QUEUED, REVOKED)
    }

    /// Marks a queued job as started, and returns whether it was still queued. If it was
    /// not, the worker skips the frame.
    pub(crate) fn start(&self, sequence: u64) -> bool {
        self.change(sequence, QUEUED, STARTED)
    }

    /// Asks a started job to end early. Returns whether the job has started, so that it is asked
    /// now or was before. If it has finished meanwhile, this has no effect.
    pub(crate) fn ask_cancel(&self, sequence: u64) -> bool {
        self.change(sequence, STARTED, CANCEL_ASKED) || self.is_cancel_asked(sequence)
    }

    /// Returns whether the job of this send is asked to end early.
    pub(crate) fn is_cancel_asked(&self, sequence: u64) -> bool {
        // Relaxed, because nothing is written before the request that the job reads after it.
        self.0.load(Ordering::Relaxed) == word(sequence, CANCEL_ASKED)
    }

    /// Returns whether the worker has begun with the job of this send.
    pub(crate) fn has_started(&self, sequence: u64) -> bool {
        // Read once: the word may change between two loads.
        let now = self.0.load(Ordering::Acquire);
        now == word(sequence, STARTED) || now == word(sequence, CANCEL_ASKED)
    }

    fn change(&self, sequence: u64, from: u64, to: u64) -> bool {
        let (from, to) = (word(sequence, from), word(sequence, to));
        self.0.swap_if(from, to, Ordering::AcqRel).is_ok()
    }
}

/// Returns the word of a state. The sequence of a ticket has 58 bits, so none is lost.
fn word(sequence: u64, state: u64) -> u64 {
    debug_assert!(sequence >> (u64::BITS - STATE_BITS) == 0);
    sequence << STATE_BITS | state
}

impl Atomic for AtomicU64 {
    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }

    fn swap_if(&self, current: u64, new: u64, success: Ordering) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, Ordering::Relaxed)
    }
}

impl<A: Atomic> Atomic for &A {
    fn load(&self, ordering: Ordering) -> u64 {
        (**self).load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        (**self).store(value, ordering);
    }

    fn swap_if(&self, current: u64, new: u64, success: Ordering) -> Result<u64, u64> {
        (**self).swap_if(current, new, success)
    }
}

impl<A: Atomic> fmt::Debug for Word<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.0.load(Ordering::Relaxed);
        let state = match now & ((1 << STATE_BITS) - 1) {
            FREE => "free",
            QUEUED => "queued",
            STARTED => "started",
            REVOKED => "revoked",
            CANCEL_ASKED => "cancel asked",
            _ => "invalid",
        };
        write!(f, "Word({}, {state})", now >> STATE_BITS)
    }
}
