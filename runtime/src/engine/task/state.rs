//! The word: the one part of a task that other threads may change.
//!
//! It packs the count of references with three flags. Each flag has one
//! paragraph saying when it may be set.

use crate::engine::sys::atomic::{AtomicU32, Ordering};

/// The task's link in the inbox is taken.
///
/// Set by whoever wakes or aborts the task from outside its running loop, and
/// only together with a reference that the inbox then owns. Cleared, and that
/// reference given back, by whoever takes the task out of the inbox. While it
/// is set nobody else touches the link.
const POSTED: u32 = 1 << 0;

/// Somebody asked for the task to be aborted from outside its running loop.
///
/// Never cleared. The loop looks at it when it takes the task from the inbox.
const ABORT: u32 = 1 << 1;

/// The task has ended: its outcome is stored, and its cleanups have run.
///
/// Set once, by the loop, when it clears `LIVE`. Never cleared.
const DONE: u32 = 1 << 2;

/// One reference.
const REFERENCE: u32 = 1 << 3;

/// More references than this means that somebody leaks them in a loop; the
/// process is aborted before the count can wrap, as `Arc` does.
const MOST_REFERENCES: u32 = u32::MAX / 2;

/// What [`Word::post`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    /// The caller owns the link, and must push the task on the inbox.
    Claimed,
    /// The task is on its way to the loop already, or over.
    Needless,
}

/// The flags and the reference count of a task.
#[derive(Debug)]
pub(crate) struct Word(AtomicU32);

impl Word {
    /// A word with one reference, the owner's share.
    pub(crate) fn new() -> Word {
        Word(AtomicU32::new(REFERENCE))
    }

    /// Takes one more reference. The caller holds one.
    #[inline]
    pub(crate) fn acquire(&self) {
        // Relaxed, as in `Arc`: a new reference is made from one that is held.
        let before = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        if before > MOST_REFERENCES {
            overflow();
        }
    }

    /// Gives one reference back; true if it was the last, and the caller must
    /// free the task.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // The sole holder needs no read-modify-write: nobody else can reach
        // the word any more. The load synchronises with their releases.
        if self.0.load(Ordering::Acquire) / REFERENCE == 1 {
            return true;
        }
        if self.0.fetch_sub(REFERENCE, Ordering::Release) / REFERENCE == 1 {
            // Not a fence, of which ThreadSanitizer knows nothing.
            self.0.load(Ordering::Acquire);
            return true;
        }
        false
    }

    /// Claims the link to put the task in the inbox, with a reference for it,
    /// and notes the abort if one is asked for. The caller holds a reference.
    #[must_use]
    pub(crate) fn post(&self, abort: bool) -> Post {
        let asked = if abort { POSTED | ABORT } else { POSTED };
        // A read-modify-write even where the flag is set already: only so is
        // what the caller did before this visible to the poll that follows.
        let before = self.0.fetch_or(asked, Ordering::AcqRel);
        if before & POSTED != 0 {
            return Post::Needless;
        }
        if before & DONE != 0 {
            self.0.fetch_and(!POSTED, Ordering::Relaxed);
            return Post::Needless;
        }
        self.acquire();
        Post::Claimed
    }

    /// Gives the link back after the task was taken out of the inbox; true if
    /// an abort has been asked for. The inbox's reference passes to the caller.
    pub(crate) fn unpost(&self) -> bool {
        self.0.fetch_and(!POSTED, Ordering::AcqRel) & ABORT != 0
    }

    /// Marks the task as ended. Only the loop calls this.
    #[inline]
    pub(crate) fn finish(&self) {
        // Acquire, as in `release`: the store below takes the place of the last
        // release of another thread, which a later `release` cannot find then.
        let word = self.0.load(Ordering::Acquire);
        if word / REFERENCE == 1 {
            // Nobody but the owner can look, so no other write can be lost.
            self.0.store(word | DONE, Ordering::Relaxed);
        } else {
            self.0.fetch_or(DONE, Ordering::Release);
        }
    }

    /// Whether the task has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) & DONE != 0
    }
}

#[cold]
fn overflow() -> ! {
    // A panic could be caught, and the leak go on.
    std::process::abort()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::engine::task::state::{Post, Word};

    #[test]
    fn the_last_release_is_told() {
        let word = Word::new();
        word.acquire();
        assert!(!word.release());
        assert!(word.release());
    }

    #[test]
    fn a_second_post_is_needless_until_the_first_is_taken() {
        let word = Word::new();
        assert_eq!(word.post(false), Post::Claimed);
        assert_eq!(word.post(false), Post::Needless);
        assert!(!word.unpost());
        assert!(!word.release());
        assert_eq!(word.post(false), Post::Claimed);
    }

    #[test]
    fn an_abort_joins_a_wake_that_is_under_way() {
        let word = Word::new();
        assert_eq!(word.post(false), Post::Claimed);
        assert_eq!(word.post(true), Post::Needless);
        assert!(word.unpost());
    }

    #[test]
    fn a_task_that_is_over_is_not_posted() {
        let word = Word::new();
        word.finish();
        assert!(word.is_done());
        assert_eq!(word.post(false), Post::Needless);
        assert!(word.release());
    }
}
