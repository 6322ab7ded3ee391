//! The part of a loop by which other threads schedule its tasks: the inbox, and the doorbell
//! that wakes a loop which is parked.
//!
//! # Invariants
//!
//! 1. A [`Remote`] outlives every task of its loop, because any waker on any thread may need
//!    it. Its shares are counted in two places: the owner counts the tasks that it creates
//!    and frees in a plain cell, and other threads subtract the shares of the tasks that they
//!    free from the atomic. The atomic starts at [`BIAS`], so it cannot reach zero before the
//!    owner has added the two counts up, which it does once, when the loop is dropped.
//! 2. The thread that brings the count to zero frees the remote. No thread uses the remote
//!    after it has given its share back.
#![expect(
    unsafe_code,
    reason = "a shared allocation counted in two places; the invariants above make it sound"
)]

pub(super) mod inbox;
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

/// More than the number of tasks that can exist.
const BIAS: isize = isize::MAX / 2;

/// The part of a loop that other threads may touch.
#[derive(Debug)]
pub(crate) struct Remote {
    inbox: Inbox<Header>,
    doorbell: mio::Waker,
    /// See invariant 1.
    shares: AtomicIsize,
    unhandled: Unhandled,
}

impl Remote {
    /// Returns the handler of panics of tasks that were not joined.
    pub(super) fn unhandled(&self) -> &Unhandled {
        &self.unhandled
    }

    /// Handles the panic of a task that was not joined. Returns the payload if it is not
    /// kept, for the caller to drop.
    pub(super) fn unhandled_panic(
        &self,
        panic: &TaskPanic,
        hook: Option<Hook>,
        payload: Box<dyn Any + Send>,
    ) -> Option<Box<dyn Any + Send>> {
        let payload = self.unhandled.handle(panic, hook, payload);
        if self.unhandled.is_raised() && self.inbox.wake_if_asleep() {
            // The handle was dropped outside a turn; the next one ends the loop.
            self.ring();
        }
        payload
    }

    /// Puts a task in the inbox, and rings the doorbell if the loop is asleep.
    ///
    /// Returns the task as an error if the loop is gone.
    ///
    /// # Safety
    ///
    /// The same as for [`Inbox::push`]: the caller has claimed the task's link, with a
    /// reference for the inbox, by `TaskState::schedule_remote`.
    pub(super) unsafe fn post(&self, task: RawTask) -> Result<(), RawTask> {
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

    /// Rings the doorbell.
    fn ring(&self) {
        // A write to an eventfd fails only if the counter is full, which mio handles, or if
        // other code has closed the descriptor.
        let rung = self.doorbell.wake();
        debug_assert!(rung.is_ok(), "the doorbell is broken: {rung:?}");
    }
}

/// The owner's reference to its [`Remote`]. Only the loop's thread has one.
pub(crate) struct RemoteOwner {
    remote: NonNull<Remote>,
    /// The number of tasks that the owner created, less those that it freed itself.
    tasks: Cell<isize>,
}

impl RemoteOwner {
    /// Creates a remote whose loop is woken by `doorbell`.
    pub(crate) fn new(doorbell: mio::Waker, unhandled: unhandled::Options) -> Self {
        let remote = Box::new(Remote {
            inbox: Inbox::new(),
            doorbell,
            shares: AtomicIsize::new(BIAS),
            unhandled: Unhandled::new(unhandled),
        });
        Self {
            remote: NonNull::from(Box::leak(remote)),
            tasks: Cell::new(0),
        }
    }

    /// Returns the address of the remote, which identifies the loop: while a task of the loop
    /// exists, no other remote has it.
    #[inline]
    pub(super) fn pointer(&self) -> NonNull<Remote> {
        self.remote
    }

    /// Counts the share of a new task, which keeps the returned pointer.
    #[inline]
    pub(super) fn share(&self) -> NonNull<Remote> {
        self.tasks.set(self.tasks.get() + 1);
        self.remote
    }

    /// Takes back the share of a task that the owner frees.
    #[inline]
    pub(super) fn unshare(&self) {
        self.tasks.set(self.tasks.get() - 1);
    }

    /// Returns the handler of panics of tasks that were not joined.
    #[inline]
    pub(crate) fn unhandled(&self) -> &Unhandled {
        &self.get().unhandled
    }

    /// Returns whether the inbox is empty and the loop is marked awake. May miss a task that
    /// is put in at the same time.
    #[inline]
    pub(crate) fn is_awake_and_empty(&self) -> bool {
        self.get().inbox.is_awake_and_empty()
    }

    /// Marks the loop awake, and takes the tasks out of the inbox.
    pub(crate) fn take(&self) -> Taken<Header> {
        self.get().inbox.take()
    }

    /// Marks the loop asleep, and returns `true`, if the inbox is empty. Otherwise returns
    /// `false`.
    #[must_use]
    pub(crate) fn try_mark_asleep(&self) -> bool {
        self.get().inbox.try_mark_asleep()
    }

    /// Wakes the loop if it is marked asleep: the next poll of the kernel, by the loop or by
    /// a loop that embeds it, returns at once.
    pub(crate) fn wake_if_asleep(&self) {
        if self.get().inbox.wake_if_asleep() {
            self.get().ring();
        }
    }

    /// Makes the loop's descriptor readable, whether the loop is asleep or not.
    pub(crate) fn ring(&self) {
        self.get().ring();
    }

    /// Closes the inbox, and takes the tasks out of it.
    pub(crate) fn close(&self) -> Taken<Header> {
        self.get().inbox.close()
    }

    #[inline]
    pub(super) fn get(&self) -> &Remote {
        // SAFETY: invariant 1; the owner gives its part of the bias back only in `drop`.
        unsafe { self.remote.as_ref() }
    }
}

impl Drop for RemoteOwner {
    fn drop(&mut self) {
        let hook = self.unhandled().close();
        let shares = BIAS - self.tasks.get();
        // SAFETY: invariant 1. The owner adds the shares of its tasks to the atomic and gives
        // the rest of the bias back. It does not use the remote again.
        unsafe { give_back(self.remote, shares) };
        // The hook is user code, and so is the destructor of what it has captured.
        panics::caught(|| drop(hook));
    }
}

impl fmt::Debug for RemoteOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Gives back the share of a task that is freed elsewhere than on its running loop.
///
/// # Safety
///
/// The share was taken by [`RemoteOwner::share`] for a task that is being freed, and
/// the caller does not use the pointer again.
pub(super) unsafe fn unshare(remote: NonNull<Remote>) {
    // SAFETY: passed on to the caller.
    unsafe { give_back(remote, 1) };
}

/// Gives shares back, and frees the remote if they are the last.
///
/// # Safety
///
/// The caller owns this number of shares, and does not use the pointer again.
unsafe fn give_back(remote: NonNull<Remote>, shares: isize) {
    let count = {
        // SAFETY: invariant 1, the caller's shares keep the remote alive.
        let remote = unsafe { remote.as_ref() };
        // Acquire too, for the thread that frees the remote. A fence in that thread would
        // suffice, but ThreadSanitizer does not support fences.
        remote.shares.fetch_sub(shares, Ordering::AcqRel) - shares
    };
    if count == 0 {
        // SAFETY: invariant 2; the remote came from a box in `RemoteOwner::new`.
        drop(unsafe { Box::from_raw(remote.as_ptr()) });
    }
}
