//! The state: the one part of a task that other threads may change.
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
const SCHEDULED: u32 = 1 << 0;

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

/// What [`TaskState::post`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleRemote {
    /// The caller owns the link, and must push the task on the inbox.
    Schedule,
    /// The task is on its way to the loop already, or over.
    AlreadyScheduled,
}

/// The flags and the reference count of a task.
#[derive(Debug)]
pub(crate) struct TaskState(AtomicU32);

impl TaskState {
    /// A state with one reference, the owner's share.
    pub(crate) fn new() -> TaskState {
        TaskState(AtomicU32::new(REFERENCE))
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
        // the state any more. The load synchronises with their releases.
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
    pub(crate) fn schedule_remote(&self, abort: bool) -> ScheduleRemote {
        let asked = if abort { SCHEDULED | ABORT } else { SCHEDULED };
        // A read-modify-write even where the flag is set already: only so is
        // what the caller did before this visible to the poll that follows.
        let before = self.0.fetch_or(asked, Ordering::AcqRel);
        if before & SCHEDULED != 0 {
            return ScheduleRemote::AlreadyScheduled;
        }
        if before & DONE != 0 {
            self.0.fetch_and(!SCHEDULED, Ordering::Relaxed);
            return ScheduleRemote::AlreadyScheduled;
        }
        self.acquire();
        ScheduleRemote::Schedule
    }

    /// Gives the link back after the task was taken out of the inbox; true if
    /// an abort has been asked for. The inbox's reference passes to the caller.
    pub(crate) fn clear_scheduled(&self) -> bool {
        self.0.fetch_and(!SCHEDULED, Ordering::AcqRel) & ABORT != 0
    }

    /// Marks the task as ended. Only the loop calls this.
    #[inline]
    pub(crate) fn finish(&self) {
        // Acquire, as in `release`: the store below takes the place of the last
        // release of another thread, which a later `release` cannot find then.
        let state = self.0.load(Ordering::Acquire);
        if state / REFERENCE == 1 {
            // Nobody but the owner can look, so no other write can be lost.
            self.0.store(state | DONE, Ordering::Relaxed);
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
    use crate::engine::task::state::{ScheduleRemote, TaskState};

    #[test]
    fn the_last_release_is_told() {
        let state = TaskState::new();
        state.acquire();
        assert!(!state.release());
        assert!(state.release());
    }

    #[test]
    fn a_second_post_is_needless_until_the_first_is_taken() {
        let state = TaskState::new();
        assert_eq!(state.schedule_remote(false), ScheduleRemote::Schedule);
        assert_eq!(
            state.schedule_remote(false),
            ScheduleRemote::AlreadyScheduled
        );
        assert!(!state.clear_scheduled());
        assert!(!state.release());
        assert_eq!(state.schedule_remote(false), ScheduleRemote::Schedule);
    }

    #[test]
    fn an_abort_joins_a_wake_that_is_under_way() {
        let state = TaskState::new();
        assert_eq!(state.schedule_remote(false), ScheduleRemote::Schedule);
        assert_eq!(
            state.schedule_remote(true),
            ScheduleRemote::AlreadyScheduled
        );
        assert!(state.clear_scheduled());
    }

    #[test]
    fn a_task_that_is_over_is_not_posted() {
        let state = TaskState::new();
        state.finish();
        assert!(state.is_done());
        assert_eq!(
            state.schedule_remote(false),
            ScheduleRemote::AlreadyScheduled
        );
        assert!(state.release());
    }
}
