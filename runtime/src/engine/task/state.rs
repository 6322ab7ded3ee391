//! [`TaskState`]: the one part of a task that other threads may change, beside the link.
//!
//! It is an atomic word of three flags and the count of references.

use crate::engine::sys::atomic::{AtomicU32, Ordering};

/// The task's link is in use: the task is in the inbox, or on its way into or out of it.
///
/// The flag is set by a thread that wakes or aborts the task from outside its running loop,
/// which also takes a reference for the inbox. The code that takes the task out of the inbox
/// clears the flag and gives the reference back. In between, no other code touches the link.
/// If the task has finished or its loop is gone, the thread that set the flag clears it again.
const IN_INBOX: u32 = 1 << 0;

/// The task was aborted from outside its running loop.
///
/// The loop reads the flag when it takes the task out of the inbox. It is never cleared.
const ABORT: u32 = 1 << 1;

/// The task has finished: its outcome is stored, and its cleanups have run or were abandoned.
///
/// The owner sets the flag when it clears `LIVE`. It is never cleared.
const DONE: u32 = 1 << 2;

/// One reference.
const REFERENCE: u32 = 1 << 3;

/// More references than this can only exist if a program leaks them in a loop. The process
/// is then aborted, before the count can wrap, as by `Arc`.
const MAX_REFERENCES: u32 = u32::MAX / 2;

/// The result of [`TaskState::schedule_remote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleRemote {
    /// The caller owns the link and a reference for the inbox, and must push the task.
    PutInInbox,
    /// The task is on its way to the loop already, or has finished.
    NothingToDo,
}

/// The flags and the reference count of a task.
#[derive(Debug)]
pub(crate) struct TaskState(AtomicU32);

impl TaskState {
    /// Creates a state with one reference, the owner's.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(REFERENCE))
    }

    /// Takes another reference. The caller must hold one.
    #[inline]
    pub(crate) fn acquire(&self) {
        // Relaxed, as in `Arc`, because a new reference is made from one that is held.
        let before = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        if before > MAX_REFERENCES {
            overflow();
        }
    }

    /// Gives one reference back. Returns whether it was the last; then the caller must free
    /// the task.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // The sole holder needs no read-modify-write, because no other thread can reach
        // the state any more. The load synchronises with their releases.
        if self.0.load(Ordering::Acquire) / REFERENCE == 1 {
            return true;
        }
        if self.0.fetch_sub(REFERENCE, Ordering::Release) / REFERENCE == 1 {
            // A load instead of a fence, because ThreadSanitizer does not know fences.
            self.0.load(Ordering::Acquire);
            return true;
        }
        false
    }

    /// Claims the link, and takes a reference for the inbox. If `abort`, marks the task as
    /// aborted. The caller must hold a reference.
    #[must_use]
    pub(crate) fn schedule_remote(&self, abort: bool) -> ScheduleRemote {
        let asked = if abort { IN_INBOX | ABORT } else { IN_INBOX };
        // A read-modify-write even if the flag is set already. Otherwise, what the caller
        // did before might not be visible to the poll that follows.
        let before = self.0.fetch_or(asked, Ordering::AcqRel);
        if before & IN_INBOX != 0 {
            return ScheduleRemote::NothingToDo;
        }
        if before & DONE != 0 {
            self.0.fetch_and(!IN_INBOX, Ordering::Relaxed);
            return ScheduleRemote::NothingToDo;
        }
        self.acquire();
        ScheduleRemote::PutInInbox
    }

    /// Gives the link back after the task was taken out of the inbox. Returns whether the
    /// task was aborted. The inbox's reference passes to the caller.
    pub(crate) fn clear_in_inbox(&self) -> bool {
        self.0.fetch_and(!IN_INBOX, Ordering::AcqRel) & ABORT != 0
    }

    /// Marks the task as finished. Only the owner calls this.
    #[inline]
    pub(crate) fn finish(&self) {
        // Acquire, as in `release`: the store below overwrites the last release of another
        // thread, with which a later `release` then cannot synchronise.
        let state = self.0.load(Ordering::Acquire);
        if state / REFERENCE == 1 {
            // Only the owner can reach the state, so no other write can be lost.
            self.0.store(state | DONE, Ordering::Relaxed);
        } else {
            self.0.fetch_or(DONE, Ordering::Release);
        }
    }

    /// Returns whether the task has finished.
    pub(crate) fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire) & DONE != 0
    }
}

#[cold]
fn overflow() -> ! {
    // A panic could be caught, and the leak would continue.
    std::process::abort()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::engine::task::state::{ScheduleRemote, TaskState};

    #[test]
    fn only_the_last_release_returns_true() {
        let state = TaskState::new();
        state.acquire();
        assert!(!state.release());
        assert!(state.release());
    }

    #[test]
    fn a_task_is_put_in_the_inbox_once_until_it_is_taken_out() {
        let state = TaskState::new();
        assert_eq!(state.schedule_remote(false), ScheduleRemote::PutInInbox);
        assert_eq!(state.schedule_remote(false), ScheduleRemote::NothingToDo);
        assert!(!state.clear_in_inbox());
        assert!(!state.release());
        assert_eq!(state.schedule_remote(false), ScheduleRemote::PutInInbox);
    }

    #[test]
    fn an_abort_is_noted_on_a_task_that_is_in_the_inbox() {
        let state = TaskState::new();
        assert_eq!(state.schedule_remote(false), ScheduleRemote::PutInInbox);
        assert_eq!(state.schedule_remote(true), ScheduleRemote::NothingToDo);
        assert!(state.clear_in_inbox());
    }

    #[test]
    fn a_task_that_has_finished_is_not_put_in_the_inbox() {
        let state = TaskState::new();
        state.finish();
        assert!(state.is_done());
        assert_eq!(state.schedule_remote(false), ScheduleRemote::NothingToDo);
        assert!(state.release());
    }
}
