//! The tree of what can be cancelled by itself, in one task.
//!
//! A task is the root; below it are cancel scopes, brackets and shields, each the
//! node of a [`NodeGuard`](super::branch::NodeGuard) that its future owns. It finds its
//! parent when it is polled: the node that is current then. So a future may move
//! from one task to another.
//!
//! # Invariants
//!
//! 1. A node is cancelled if somebody asked for that, or its parent is and the
//!    node is no shield. Cancelling walks down once; so to ask costs nothing.
//! 2. A node is pending while something at it or below has to be done before its
//!    owner may drop the future. Each pending node counts once at its parent.
//! 3. What ends an engagement below a cancelled node wakes whoever polls that.
//! 4. Nothing is borrowed while a waker is cloned, woken or dropped.

mod pending;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::Context;

use slab::Slab;

use crate::engine::timers::instant::Instant;
use crate::engine::waker_cell::WakerCell;

/// Something that can be cancelled, or holds off cancellation.
pub(crate) struct CancelNode {
    pub(super) shields: bool,
    parent: RefCell<Option<Place>>,
    children: RefCell<Slab<Weak<CancelNode>>>,
    cancelled: Cell<bool>,
    /// Whether that was asked of this very node.
    requested: Cell<bool>,
    /// When it is to be cancelled by whoever polls it.
    pub(super) deadline: Cell<Option<Instant>>,
    /// What is at it and below that has to end by itself.
    pending: Cell<usize>,
    /// Whether it was polled since it was last told of a cancellation.
    polled: Cell<bool>,
    /// Whether its parent has given it up.
    given_up: Cell<bool>,
    /// Whether all that is pending below has been polled since.
    all_polled: Cell<bool>,
    unpolled: Cell<usize>,
    vain_polls: Cell<u8>,
    /// Of who polls it.
    waker: WakerCell,
}

/// A place among the children of a node.
struct Place {
    parent: Rc<CancelNode>,
    key: usize,
}

impl CancelNode {
    /// A node without a parent.
    pub(crate) fn root() -> Rc<CancelNode> {
        Rc::new(CancelNode::new(false))
    }

    /// A node that is not cancelled with what it is in.
    pub(crate) fn shield() -> Rc<CancelNode> {
        Rc::new(CancelNode::new(true))
    }

    fn new(shields: bool) -> CancelNode {
        CancelNode {
            shields,
            parent: RefCell::default(),
            children: RefCell::default(),
            cancelled: Cell::new(false),
            requested: Cell::new(false),
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

    /// Whether what it is in is cancelled.
    pub(crate) fn is_outer_cancelled(&self) -> bool {
        let parent = self.parent.borrow();
        parent
            .as_ref()
            .is_some_and(|place| place.parent.is_cancelled())
    }

    /// Cancels it and what is below, and wakes whoever has to know.
    pub(super) fn mark_cancelled(&self) {
        self.requested.set(true);
        if self.cancelled.replace(true) {
            return;
        }
        self.wake();
        self.spread();
    }

    pub(crate) fn set_deadline(&self, deadline: Instant) {
        self.deadline.set(Some(deadline));
    }

    pub(super) fn parent(&self) -> Option<Rc<CancelNode>> {
        let parent = self.parent.borrow();
        parent.as_ref().map(|place| Rc::clone(&place.parent))
    }

    /// Tells what is below that this is cancelled.
    fn spread(&self) {
        self.all_polled.set(false);
        let mut above = self.parent();
        while let Some(node) = above {
            node.all_polled.set(false);
            above = node.parent();
        }
        let mut next = self.living_children();
        while let Some(node) = next.pop() {
            if !node.shields {
                if node.cancelled.replace(true) {
                    // It was told, and woken, before.
                    continue;
                }
                next.append(&mut node.living_children());
            }
            node.polled.set(false);
            node.wake();
        }
    }

    fn living_children(&self) -> Vec<Rc<CancelNode>> {
        let children = self.children.borrow();
        children
            .iter()
            .filter_map(|(_, node)| node.upgrade())
            .collect()
    }

    fn wake(&self) {
        self.waker.wake();
    }

    /// It is about to be polled, below `parent`.
    pub(crate) fn attach(self: &Rc<Self>, parent: Option<&Rc<CancelNode>>, cx: &Context<'_>) {
        self.adopt(parent);
        self.polled.set(true);
        self.wait(cx);
    }

    /// It is not polled any more.
    pub(crate) fn detach(&self) {
        self.leave();
        drop(self.waker.take());
    }

    /// Keeps the waker of whoever polls it.
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        self.waker.keep(cx);
    }

    /// Makes it a child of `parent`, which it is already in most cases.
    fn adopt(self: &Rc<Self>, parent: Option<&Rc<CancelNode>>) {
        let same = match (&*self.parent.borrow(), parent) {
            (Some(place), Some(parent)) => Rc::ptr_eq(&place.parent, parent),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.move_to(parent);
        }
    }

    #[cold]
    fn move_to(self: &Rc<Self>, parent: Option<&Rc<CancelNode>>) {
        self.leave();
        self.given_up.set(false);
        if let Some(parent) = parent {
            let key = parent.children.borrow_mut().insert(Rc::downgrade(self));
            *self.parent.borrow_mut() = Some(Place {
                parent: Rc::clone(parent),
                key,
            });
            if self.pending.get() > 0 {
                parent.add_pending();
            }
        }
        let inherits = !self.shields && parent.is_some_and(|parent| parent.is_cancelled());
        let cancelled = self.requested.get() || inherits;
        if cancelled && !self.cancelled.replace(true) {
            self.spread();
        }
    }

    /// Takes it from its parent.
    fn leave(&self) {
        let Some(Place { parent, key }) = self.parent.take() else {
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
