//! The tree of tokens.
//!
//! # Invariants
//!
//! 1. A node is in the tree while it has handles and is not cancelled. When the
//!    last handle of a node goes, its children become its parent's.
//! 2. Each child is at the place in its parent's `children` that its `place`
//!    says, and each of those has that parent. Counts go both ways; they end
//!    when the node leaves the tree, which invariant 1 sees to.
//! 3. Nothing recurs: trees are as deep as their users like.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::waiters::{Waiters, Wakers};

/// One token and its clones.
pub(super) struct Node {
    cancelled: Cell<bool>,
    handles: Cell<usize>,
    pub(super) waiters: Waiters<()>,
    parent: RefCell<Option<Rc<Node>>>,
    place: Cell<usize>,
    children: RefCell<Vec<Rc<Node>>>,
}

impl Node {
    /// Outside any tree, with one handle.
    pub(super) fn new() -> Rc<Node> {
        Rc::new(Node {
            cancelled: Cell::new(false),
            handles: Cell::new(1),
            waiters: Waiters::new(),
            parent: RefCell::new(None),
            place: Cell::new(0),
            children: RefCell::new(Vec::new()),
        })
    }

    /// With one handle.
    pub(super) fn child(parent: &Rc<Node>) -> Rc<Node> {
        let child = Node::new();
        if parent.is_cancelled() {
            child.cancelled.set(true);
        } else {
            parent.adopt(Rc::clone(&child));
        }
        child
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    pub(super) fn add_handle(&self) {
        self.handles.set(self.handles.get() + 1);
    }

    pub(super) fn drop_handle(self: &Rc<Self>) {
        let handles = self.handles.get() - 1;
        self.handles.set(handles);
        if handles > 0 || self.is_cancelled() {
            return;
        }
        let parent = self.leave_parent();
        for child in self.children.take() {
            match &parent {
                Some(parent) => parent.adopt(child),
                None => drop(child.parent.take()),
            }
        }
    }

    pub(super) fn cancel(self: &Rc<Self>) {
        if self.is_cancelled() {
            return;
        }
        drop(self.leave_parent());
        let mut wakers = Wakers::new();
        let mut found = vec![Rc::clone(self)];
        while let Some(node) = found.pop() {
            node.cancelled.set(true);
            node.waiters.grant_while(&mut wakers, |()| Some(()));
            // First come, first woken: the last of the stack is next.
            found.extend(node.children.take().into_iter().rev());
            drop(node.parent.take());
        }
        wakers.wake();
    }

    fn adopt(self: &Rc<Self>, child: Rc<Node>) {
        let mut children = self.children.borrow_mut();
        child.place.set(children.len());
        let before = child.parent.replace(Some(Rc::clone(self)));
        children.push(child);
        drop(children);
        drop(before);
    }

    fn leave_parent(&self) -> Option<Rc<Node>> {
        let parent = self.parent.take()?;
        let place = self.place.get();
        let mut children = parent.children.borrow_mut();
        let own = children.swap_remove(place);
        if let Some(moved) = children.get(place) {
            moved.place.set(place);
        }
        // Of a burst of children no more room is kept than a few times what is needed.
        if children.len() < children.capacity() / 8 {
            let needed = children.len() * 2;
            children.shrink_to(needed);
        }
        drop(children);
        // Not the last count: the caller has one.
        drop(own);
        Some(parent)
    }
}
