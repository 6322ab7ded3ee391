//! What other threads can reach of a loop: its inbox and its doorbell.
//!
//! # Invariants
//!
//! 1. A [`Remote`] outlives every task of its loop, for any waker on any
//!    thread may need it. Its shares are counted in two places: the owner
//!    counts tasks it makes and frees in a plain cell, other threads
//!    take the shares of tasks they free from the atomic. The atomic starts
//!    with [`BIAS`] in it, so it cannot reach zero before the owner has put the
//!    two counts together, which it does once, when the loop is dropped.
//! 2. Whoever brings the count to zero frees the remote, and nobody uses it
//!    after giving its share back.
#![expect(
    unsafe_code,
    reason = "a shared allocation counted in two places; the invariants above make it sound"
)]

pub(crate) mod inbox;
#[cfg(all(test, loom))]
mod model;

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;

use crate::engine::panics;
use crate::engine::report::unhandled::{self, Hook, TaskPanic, Unhandled};
use crate::engine::sys::atomic::{AtomicIsize, Ordering};
use crate::engine::task::header::Header;
use crate::engine::task::raw::RawTask;
use crate::engine::task::remote::inbox::{Inbox, Push, Taken};

/// More than there can be tasks.
const BIAS: isize = isize::MAX / 2;

/// The part of a loop that other threads may touch.
#[derive(Debug)]
pub(crate) struct Remote {
    inbox: Inbox<Header>,
    doorbell: mio::Waker,
    shares: AtomicIsize,
    unhandled: Unhandled,
}

impl Remote {
    /// What sees to panics of tasks that were not joined.
    pub(crate) fn unhandled(&self) -> &Unhandled {
        &self.unhandled
    }

    /// Does what is to be done when nobody joined a task that panicked. Returns
    /// the payload if nobody else needs it.
    pub(crate) fn unhandled_panic(
        &self,
        panic: &TaskPanic,
        hook: Option<Hook>,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        let payload = self.unhandled.see(panic, hook, payload);
        if self.unhandled.is_raised() && self.inbox.wake_if_asleep() {
            // The handle was dropped outside a turn; the next one ends the loop.
            self.ring();
        }
        payload
    }

    /// Leaves a task for the loop, and rings if it sleeps.
    ///
    /// Gives the task back if the loop is gone.
    ///
    /// # Safety
    ///
    /// As for the inbox: the caller has claimed the task's link, with a
    /// reference for the inbox, by `TaskState::post`.
    pub(crate) unsafe fn post(&self, task: RawTask) -> Result<(), RawTask> {
        // SAFETY: passed on to the caller.
        match unsafe { self.inbox.push(task.pointer()) } {
            Push::Queued => Ok(()),
            Push::Ring => {
                self.ring();
                Ok(())
            }
            Push::Closed => Err(task),
        }
    }

    fn ring(&self) {
        // An eventfd's write fails only if the counter is full, which mio
        // handles, or if the descriptor was closed behind our back.
        let rung = self.doorbell.wake();
        debug_assert!(rung.is_ok(), "the doorbell is broken: {rung:?}");
    }
}

/// The owner's hold on its [`Remote`].
pub(crate) struct RemoteOwner {
    remote: NonNull<Remote>,
    /// Tasks made by the owner, less those it freed itself.
    tasks: Cell<isize>,
}

impl RemoteOwner {
    /// A remote whose loop is rung by `doorbell`.
    pub(crate) fn new(doorbell: mio::Waker, unhandled: unhandled::Options) -> RemoteOwner {
        let remote = Box::new(Remote {
            inbox: Inbox::new(),
            doorbell,
            shares: AtomicIsize::new(BIAS),
            unhandled: Unhandled::new(unhandled),
        });
        RemoteOwner {
            remote: NonNull::from(Box::leak(remote)),
            tasks: Cell::new(0),
        }
    }

    /// The address, which tells one loop from another: while a task of the
    /// loop lives, no other remote has it.
    #[inline]
    pub(crate) fn pointer(&self) -> NonNull<Remote> {
        self.remote
    }

    /// Counts a task's share, for the pointer that is kept in it.
    #[inline]
    pub(crate) fn share(&self) -> NonNull<Remote> {
        self.tasks.set(self.tasks.get() + 1);
        self.remote
    }

    /// Takes the share of a task back that the owner frees.
    #[inline]
    pub(crate) fn unshare(&self) {
        self.tasks.set(self.tasks.get() - 1);
    }

    /// What to do with panics of tasks that nobody joined.
    #[inline]
    pub(crate) fn unhandled(&self) -> &Unhandled {
        &self.get().unhandled
    }

    /// Whether the inbox is surely awake and perhaps empty.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.get().inbox.is_empty()
    }

    /// Marks the loop awake and takes the tasks left for it.
    pub(crate) fn take(&self) -> Taken<Header> {
        self.get().inbox.take()
    }

    /// Marks the loop asleep, unless a task was left for it.
    #[must_use]
    pub(crate) fn try_mark_asleep(&self) -> bool {
        self.get().inbox.sleep()
    }

    /// Makes sure that the loop's next look at the kernel, or that of whoever
    /// embeds it, finds it ready.
    pub(crate) fn wake_if_asleep(&self) {
        if self.get().inbox.wake_if_asleep() {
            self.get().ring();
        }
    }

    /// Makes the loop's descriptor readable, whether the loop sleeps or not.
    pub(crate) fn ring(&self) {
        self.get().ring();
    }

    /// Refuses tasks from now on, and takes those there are.
    pub(crate) fn close(&self) -> Taken<Header> {
        self.get().inbox.close()
    }

    #[inline]
    pub(crate) fn get(&self) -> &Remote {
        // SAFETY: invariant 1; the owner's part of the bias is not given back
        // before `drop`.
        unsafe { self.remote.as_ref() }
    }
}

impl Drop for RemoteOwner {
    fn drop(&mut self) {
        let hook = self.unhandled().close();
        let shares = BIAS - self.tasks.get();
        // SAFETY: invariant 1. The owner counts its tasks in from here on and
        // gives the rest of the bias back; it does not use the remote again.
        unsafe { give_back(self.remote, shares) };
        // It may own values of the user's.
        panics::caught(|| drop(hook));
    }
}

impl fmt::Debug for RemoteOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Gives the share of a task back that is freed away from its running loop.
///
/// # Safety
///
/// The share was taken by [`RemoteOwner::share`] for a task that is being freed, and
/// the caller does not use the pointer again.
pub(crate) unsafe fn unshare(remote: NonNull<Remote>) {
    // SAFETY: passed on to the caller.
    unsafe { give_back(remote, 1) };
}

/// # Safety
///
/// The caller owns as many shares, and does not use the pointer again.
unsafe fn give_back(remote: NonNull<Remote>, shares: isize) {
    let count = {
        // SAFETY: invariant 1, the caller's shares keep it alive.
        let remote = unsafe { remote.as_ref() };
        // Acquire too, for the one that frees. A fence would do for that one
        // alone, but ThreadSanitizer knows nothing of fences.
        remote.shares.fetch_sub(shares, Ordering::AcqRel) - shares
    };
    if count == 0 {
        // SAFETY: invariant 2; it came from a box in `RemoteOwner::new`.
        drop(unsafe { Box::from_raw(remote.as_ptr()) });
    }
}
