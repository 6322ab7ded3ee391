//! The tree of everything in one task that can be cancelled by itself.
//!
//! The task is the root. Below it are cancel scopes, brackets and shields: the future of
//! each owns a [`NodeGuard`](super::node_guard::NodeGuard), which owns the node. When the
//! future is polled, its node becomes a child of the node that is current then. So a future
//! may move from one task to another.
//!
//! # The states of a node
//!
//! ```text
//!  1 new, shield           2 add_pending             5 propagate
//! ────────────────> idle ─────────────────> pending ─────────────> unpolled
//!                    │   <─────────────────   │                    │      │
//!                    │    3 remove_pending    │ 4 mark_cancelled,  │      │ 7 may_drop
//!                    │                        │   move_to          │      v
//!                    │ 4, 5                   v      6 attach      │   given up
//!                    │                   cleaning up <─────────────┘      │
//!                    │                    │   ^  ^                        │
//!                    │   3 remove_pending │   │  └────────────────────────┘
//!                    v                    │   │          8 move_to
//!                cancelled <──────────────┘   │
//!                    └────────────────────────┘
//!                           2 add_pending
//!
//!  idle:        not cancelled, and nothing is pending at the node or below it.
//!  pending:     not cancelled, and a cleanup is pending at the node or below it.
//!  unpolled:    cancelled by way of the parent, and not polled since. A cleanup is
//!               pending, and the cancelled node above waits for it.
//!  cleaning up: cancelled, and polled since. A cleanup is pending, and the node is
//!               polled until it has finished.
//!  given up:    as unpolled, but no longer counted at the parent, so the cancelled node
//!               above does not wait for it.
//!  cancelled:   cancelled, and nothing is pending: the owner may drop the future.
//!
//!  1: `CancelNode::new`, `CancelNode::shield`: a node without a parent.
//!  2: `CancelNode::add_pending`: the owner is a bracket, a shield or a cleanup in place
//!     that begins (`NodeGuard::add_pending`), or a child becomes pending.
//!  3: `CancelNode::remove_pending`: the last pending cleanup has ended. This leads to
//!     `cancelled` from `unpolled` and `given up` too.
//!  4: `CancelNode::mark_cancelled`: the cancellation of this node was requested; or
//!     `move_to`: the node is polled below a parent that is cancelled.
//!  5: `CancelNode::propagate`: a node above was cancelled, with no shield between.
//!  6: `CancelNode::attach`: the future of the node is polled.
//!  7: `CancelNode::may_drop`, called for a cancelled node above: `MAX_VAIN_POLLS` polls
//!     in a row have reached no further node, so the future of this one is kept in a
//!     variable or was forgotten.
//!  8: `CancelNode::move_to`: the future is polled after all, below another parent. Below
//!     the same parent the node stays given up.
//! ```
//!
//! A shield takes the transitions 5 to 8 like other nodes, but the cancellation of its
//! parent sets neither its flag `cancelled` nor the flags of its descendants. For a shield,
//! "cancelled" above means that its parent is: a shield that moves to a parent which is not
//! cancelled is idle or pending again.
//!
//! # Invariants
//!
//! 1. A node is cancelled if that was requested, or if its parent is cancelled and the node
//!    is not a shield. A cancellation walks down the tree once, so `is_cancelled` reads one
//!    flag.
//! 2. A node is pending while something at it or below has to be done before its owner may
//!    drop the future. Each pending node counts once at its parent, unless the parent has
//!    given it up.
//! 3. The end of a pending cleanup below a cancelled node wakes the task that polls this
//!    node.
//! 4. Nothing is borrowed while a waker is cloned, woken or dropped.

mod pending;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::Context;

use slab::Slab;

use crate::engine::timers::instant::Instant;
use crate::engine::waker_cell::WakerCell;

/// A part of a task that can be cancelled by itself, or that holds off cancellation.
pub(crate) struct CancelNode {
    /// Whether the node is a shield, which is not cancelled with its parent.
    pub(super) is_shield: bool,
    /// The parent; `None` for the root of a task, and before the first poll of the future.
    parent: RefCell<Option<ParentLink>>,
    /// The nodes whose futures were last polled directly inside this one's future.
    children: RefCell<Slab<Weak<Self>>>,
    /// Whether the node is cancelled; never cleared.
    cancelled: Cell<bool>,
    /// The time at which the node's owner cancels it, if it has a time limit.
    pub(super) deadline: Cell<Option<Instant>>,
    /// The number of pending cleanups at the node, plus the number of its pending children.
    pending: Cell<usize>,
    /// Whether the node was polled since a node above was last cancelled.
    polled: Cell<bool>,
    /// Whether the parent no longer counts the node as pending.
    given_up: Cell<bool>,
    /// Whether all pending nodes below were polled since the last cancellation, as
    /// `may_drop` has found.
    all_polled: Cell<bool>,
    /// The number of pending nodes below that were not polled, when `may_drop` last counted
    /// them.
    unpolled: Cell<usize>,
    /// The number of polls in a row after which `unpolled` was no smaller than before.
    vain_polls: Cell<u8>,
    /// The waker of the task that polls the node's future.
    waker: WakerCell,
}

/// The parent of a node, and the key of the node among the parent's children.
struct ParentLink {
    node: Rc<CancelNode>,
    key: usize,
}

impl CancelNode {
    /// Creates a node without a parent.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self::with_shield(false))
    }

    /// Creates a node that is not cancelled with its parent.
    pub(super) fn shield() -> Rc<Self> {
        Rc::new(Self::with_shield(true))
    }

    fn with_shield(is_shield: bool) -> Self {
        Self {
            is_shield,
            parent: RefCell::default(),
            children: RefCell::default(),
            cancelled: Cell::new(false),
            deadline: Cell::new(None),
            pending: Cell::new(0),
            polled: Cell::new(true),
            given_up: Cell::new(false),
            all_polled: Cell::new(false),
            unpolled: Cell::new(usize::MAX),
            vain_polls: Cell::new(0),
            waker: WakerCell::default(),
        }
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Returns whether the parent is cancelled.
    pub(crate) fn is_outer_cancelled(&self) -> bool {
        let parent = self.parent.borrow();
        parent.as_ref().is_some_and(|link| link.node.is_cancelled())
    }

    /// Cancels the node and its descendants, and wakes the tasks that poll them.
    pub(super) fn mark_cancelled(&self) {
        if self.cancelled.replace(true) {
            return;
        }
        self.wake();
        self.propagate();
    }

    pub(crate) fn set_deadline(&self, deadline: Instant) {
        self.deadline.set(Some(deadline));
    }

    pub(super) fn parent(&self) -> Option<Rc<Self>> {
        let parent = self.parent.borrow();
        parent.as_ref().map(|link| Rc::clone(&link.node))
    }

    /// Marks the descendants as cancelled, down to the first shields, and wakes them.
    fn propagate(&self) {
        self.all_polled.set(false);
        let mut above = self.parent();
        while let Some(node) = above {
            node.all_polled.set(false);
            above = node.parent();
        }
        let mut next = self.living_children();
        while let Some(node) = next.pop() {
            if !node.is_shield {
                if node.cancelled.replace(true) {
                    // The node and its descendants were marked and woken before.
                    continue;
                }
                next.append(&mut node.living_children());
            }
            node.polled.set(false);
            node.wake();
        }
    }

    fn living_children(&self) -> Vec<Rc<Self>> {
        let children = self.children.borrow();
        children
            .iter()
            .filter_map(|(_, node)| node.upgrade())
            .collect()
    }

    fn wake(&self) {
        self.waker.wake();
    }

    /// Makes the node a child of `parent`, because its future is about to be polled.
    pub(super) fn attach(self: &Rc<Self>, parent: Option<&Rc<Self>>, cx: &Context<'_>) {
        self.set_parent(parent);
        self.polled.set(true);
        self.register_waker(cx);
    }

    /// Takes the node out of the tree, because its future is not polled any more.
    pub(super) fn detach(&self) {
        self.leave_parent();
        drop(self.waker.take());
    }

    /// Keeps the waker of the task that polls the node's future.
    pub(super) fn register_waker(&self, cx: &Context<'_>) {
        self.waker.keep(cx);
    }

    /// Makes the node a child of `parent`. In most cases it is one already.
    fn set_parent(self: &Rc<Self>, parent: Option<&Rc<Self>>) {
        let same = match (&*self.parent.borrow(), parent) {
            (Some(link), Some(parent)) => Rc::ptr_eq(&link.node, parent),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.move_to(parent);
        }
    }

    #[cold]
    fn move_to(self: &Rc<Self>, parent: Option<&Rc<Self>>) {
        self.leave_parent();
        self.given_up.set(false);
        if let Some(parent) = parent {
            let key = parent.children.borrow_mut().insert(Rc::downgrade(self));
            *self.parent.borrow_mut() = Some(ParentLink {
                node: Rc::clone(parent),
                key,
            });
            if self.pending.get() > 0 {
                parent.add_pending();
            }
        }
        let inherits = !self.is_shield && parent.is_some_and(|parent| parent.is_cancelled());
        if inherits && !self.cancelled.replace(true) {
            self.propagate();
        }
    }

    /// Removes the node from the children of its parent.
    fn leave_parent(&self) {
        let Some(ParentLink { node: parent, key }) = self.parent.take() else {
            return;
        };
        drop(parent.children.borrow_mut().try_remove(key));
        if self.pending.get() > 0 && !self.given_up.get() {
            parent.remove_pending();
        }
    }
}

impl fmt::Debug for CancelNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelNode")
            .field("cancelled", &self.cancelled)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
