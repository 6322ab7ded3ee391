//! [`Inbox`]: the lock-free list in which other threads leave tasks for the loop.
//!
//! It is an intrusive stack, whose head is one atomic. The head also holds whether the loop
//! is asleep. So of a thousand wakes that come meanwhile only the first rings the doorbell.
//!
//! ```text
//!            push                    push
//!   AWAKE ---------> a -> AWAKE  ---------> b -> a -> AWAKE      (no ring)
//!     |  ^-----------------take-----------------'
//!     | try_mark_asleep (fails unless empty)
//!     v      push
//!   SLEEPING ------> a -> AWAKE        the pusher rings, once
//!
//!   any -- close --> CLOSED            push is refused from here on
//! ```
//!
//! # Invariants
//!
//! 1. A node is pushed by one thread at a time, and not again before it was taken out: the
//!    flag `IN_INBOX` of the task ensures this. So its link belongs to the thread that
//!    pushes it until the push has succeeded, and to the loop's thread afterwards.
//! 2. A node that is in the inbox is alive: `IN_INBOX` holds a reference.
//! 3. Only the loop's thread takes nodes, marks the loop asleep and closes the inbox. It
//!    takes all nodes at once, so a node cannot be popped and pushed again during the
//!    compare-and-swap of a push, which is the ABA problem of stacks.
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
    /// Returns the node's link.
    fn link(&self) -> &Link<Self>
    where
        Self: Sized;
}

/// The result of [`Inbox::push`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    /// The node was pushed. The loop is awake, or another thread rings: it will take the
    /// node.
    Queued,
    /// The node was pushed. The loop is asleep, and the caller must ring.
    Ring,
    /// The loop is gone. The node was not pushed.
    Closed,
}

/// Tasks from other threads, for one loop.
pub(super) struct Inbox<N> {
    head: AtomicPtr<N>,
}

/// The head of an empty inbox whose loop is asleep: an address that no node has, because
/// nodes are aligned to more than two.
const SLEEPING: usize = 1;
/// The head of a closed inbox: likewise.
const CLOSED: usize = 2;

impl<N: Node> Inbox<N> {
    /// Creates an empty inbox whose loop is asleep, as a loop is before its first turn.
    pub(super) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::without_provenance_mut(SLEEPING)),
        }
    }

    /// Adds `node`, for the loop to take.
    ///
    /// # Safety
    ///
    /// The caller owns the node's link and passes on a reference that keeps the node alive
    /// (invariants 1 and 2). It keeps both if the result is [`Push::Closed`].
    pub(super) unsafe fn push(&self, node: NonNull<N>) -> Push {
        // SAFETY: invariant 2, the node is alive.
        let link = unsafe { node.as_ref() }.link();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (next, result) = match head.addr() {
                CLOSED => return Push::Closed,
                SLEEPING => (ptr::null_mut(), Push::Ring),
                _ => (head, Push::Queued),
            };
            link.store(next, Ordering::Relaxed);
            // Release: the loop that takes the node sees what happened before the push.
            match self.head.compare_exchange_weak(
                head,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return result,
                Err(now) => head = now,
            }
        }
    }

    /// Returns whether the inbox is empty and the loop is marked awake. May miss a push
    /// that happens at the same time; [`try_mark_asleep`](Inbox::try_mark_asleep) does not.
    #[inline]
    pub(super) fn is_awake_and_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Marks the loop awake, and takes all nodes, oldest first.
    pub(super) fn take(&self) -> Taken<N> {
        self.empty_into(ptr::null_mut())
    }

    /// Marks the loop asleep, and returns `true`, if the inbox is empty and the loop was marked
    /// awake. Otherwise returns `false`.
    #[must_use]
    pub(super) fn try_mark_asleep(&self) -> bool {
        self.head
            .compare_exchange(
                ptr::null_mut(),
                ptr::without_provenance_mut(SLEEPING),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Marks the loop awake if it is marked asleep. Returns whether it was.
    #[must_use]
    pub(super) fn wake_if_asleep(&self) -> bool {
        self.head
            .compare_exchange(
                ptr::without_provenance_mut(SLEEPING),
                ptr::null_mut(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Closes the inbox, so that pushes are refused, and takes all nodes.
    pub(super) fn close(&self) -> Taken<N> {
        self.empty_into(ptr::without_provenance_mut(CLOSED))
    }

    /// Replaces the head by `state`, and returns the nodes, oldest first.
    fn empty_into(&self, state: *mut N) -> Taken<N> {
        let mut newest_first = self.head.swap(state, Ordering::AcqRel);
        let mut next = ptr::null_mut();
        while let Some(node) = as_node(newest_first) {
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

/// Returns the node to which a head or link points, if it points to one.
fn as_node<N>(pointer: *mut N) -> Option<NonNull<N>> {
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
        let node = as_node(self.next)?;
        // SAFETY: invariant 2. The link is read before the caller gets the node and can give
        // the link back.
        self.next = unsafe { node.as_ref() }.link().load(Ordering::Relaxed);
        Some(node)
    }
}
