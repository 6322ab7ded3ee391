//! The inbox: where other threads leave tasks for the loop.
//!
//! A stack of nodes linked through themselves, in one atomic state. The state
//! also says whether the loop sleeps, so that of a thousand wakes that come
//! while it sleeps just the first has to ring.
//!
//! ```text
//!            push                    push
//!   AWAKE ---------> a -> AWAKE  ---------> b -> a -> AWAKE      (no ring)
//!     |  ^-----------------take-----------------'
//!     | sleep (fails unless empty)
//!     v      push
//!   SLEEPING ------> a -> AWAKE        the pusher rings, once
//!
//!   any -- close --> CLOSED            a push is refused from here on
//! ```
//!
//! # Invariants
//!
//! 1. A node is pushed by one thread at a time, and not again before it was
//!    taken out: the task's `POSTED` flag sees to it. So its link belongs to
//!    the pusher until the push succeeds, and to the taker afterwards.
//! 2. A node that is in the inbox is alive: `POSTED` holds a reference.
//! 3. Only the loop's thread takes, sleeps and closes. It takes everything at
//!    once, so a node cannot be popped and pushed again under a push's
//!    compare-and-swap, which is the ABA problem of stacks.
#![expect(
    unsafe_code,
    reason = "an intrusive list between threads; the invariants above make it sound"
)]

use std::fmt;
use std::ptr::{self, NonNull};

use crate::engine::sys::atomic::{AtomicPtr, Ordering};

/// The link of a node.
pub(crate) type Link<N> = AtomicPtr<N>;

/// Something that can be put in an inbox.
///
/// # Safety
///
/// `link` returns the same link for the same node each time, and nothing but
/// the inbox uses it.
pub(crate) unsafe trait Node {
    /// The node's link.
    fn link(&self) -> &Link<Self>
    where
        Self: Sized;
}

/// What became of a [`Inbox::push`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// The loop is awake, or has been rung for: it will come by.
    Queued,
    /// The loop sleeps, and the caller must ring.
    Ring,
    /// The loop is gone. The node was not taken.
    Closed,
}

/// Tasks from other threads, for one loop.
pub(crate) struct Inbox<N> {
    head: AtomicPtr<N>,
}

/// Addresses that no node has: nodes are aligned to more than two.
const SLEEPING: usize = 1;
const CLOSED: usize = 2;

impl<N: Node> Inbox<N> {
    /// An empty inbox whose loop sleeps, as one does that has not begun.
    pub(crate) fn new() -> Inbox<N> {
        Inbox {
            head: AtomicPtr::new(ptr::without_provenance_mut(SLEEPING)),
        }
    }

    /// Leaves `node` for the loop.
    ///
    /// # Safety
    ///
    /// The caller owns the node's link and hands over a reference that keeps
    /// the node alive (invariants 1 and 2); it takes both back if the answer
    /// is [`Push::Closed`].
    pub(crate) unsafe fn push(&self, node: NonNull<N>) -> Push {
        // SAFETY: invariant 2, the node is alive.
        let link = unsafe { node.as_ref() }.link();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (next, answer) = match head.addr() {
                CLOSED => return Push::Closed,
                SLEEPING => (ptr::null_mut(), Push::Ring),
                _ => (head, Push::Queued),
            };
            link.store(next, Ordering::Relaxed);
            // Release: the loop that takes the node sees what led to it.
            match self.head.compare_exchange_weak(
                head,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return answer,
                Err(now) => head = now,
            }
        }
    }

    /// Whether nothing is there and the loop is marked awake. May miss a push
    /// that happens at the same time; [`sleep`](Inbox::sleep) does not.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Marks the loop awake and takes what is there, oldest first.
    pub(crate) fn take(&self) -> Taken<N> {
        self.empty_into(ptr::null_mut())
    }

    /// Marks the loop asleep, unless something is there.
    #[must_use]
    pub(crate) fn sleep(&self) -> bool {
        self.head
            .compare_exchange(
                ptr::null_mut(),
                ptr::without_provenance_mut(SLEEPING),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Marks the loop awake if it is marked asleep; true if it was.
    #[must_use]
    pub(crate) fn wake_if_asleep(&self) -> bool {
        self.head
            .compare_exchange(
                ptr::without_provenance_mut(SLEEPING),
                ptr::null_mut(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Refuses pushes from now on, and takes what is there.
    pub(crate) fn close(&self) -> Taken<N> {
        self.empty_into(ptr::without_provenance_mut(CLOSED))
    }

    fn empty_into(&self, state: *mut N) -> Taken<N> {
        let mut newest_first = self.head.swap(state, Ordering::AcqRel);
        let mut next = ptr::null_mut();
        while let Some(node) = real(newest_first) {
            // SAFETY: invariant 2, the node is alive.
            let link = unsafe { node.as_ref() }.link();
            // Invariant 1: the link is the taker's now.
            newest_first = link.load(Ordering::Relaxed);
            link.store(next, Ordering::Relaxed);
            next = node.as_ptr();
        }
        Taken { next }
    }
}

impl<N> fmt::Debug for Inbox<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// The node that a head or link points to, if it is one.
fn real<N>(pointer: *mut N) -> Option<NonNull<N>> {
    match pointer.addr() {
        SLEEPING | CLOSED => None,
        _ => NonNull::new(pointer),
    }
}

/// Nodes taken out of an inbox, oldest first.
pub(crate) struct Taken<N> {
    next: *mut N,
}

impl<N: Node> Iterator for Taken<N> {
    type Item = NonNull<N>;

    fn next(&mut self) -> Option<NonNull<N>> {
        let node = real(self.next)?;
        // SAFETY: invariant 2; and the link is read before the caller, who
        // gets the node now, can give the link back.
        self.next = unsafe { node.as_ref() }.link().load(Ordering::Relaxed);
        Some(node)
    }
}
