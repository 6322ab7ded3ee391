//! [`TreeNode`]: a token in the tree of tokens.
//!
//! # Invariants
//!
//! 1. A node is in the tree while it has handles and is not cancelled. When the
//!    last handle of a node is dropped, its children become its parent's.
//! 2. Each child is in its parent's `children` at its `index`, and each node in
//!    `children` has this node as its parent. Parent and child own an `Rc` of each
//!    other, until the node leaves the tree as invariant 1 says.
//! 3. No function recurses over the tree, which may have any depth.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::waiters::{Waiters, Wakers};

/// One token and its clones.
pub(super) struct TreeNode {
    cancelled: Cell<bool>,
    handles: Cell<usize>,
    pub(super) waiters: Waiters<()>,
    parent: RefCell<Option<Rc<Self>>>,
    index: Cell<usize>,
    children: RefCell<Vec<Rc<Self>>>,
}

impl TreeNode {
    /// Creates a node with one handle, outside any tree.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            cancelled: Cell::new(false),
            handles: Cell::new(1),
            waiters: Waiters::new(),
            parent: RefCell::new(None),
            index: Cell::new(0),
            children: RefCell::new(Vec::new()),
        })
    }

    /// Creates a child of `parent` with one handle.
    pub(super) fn child(parent: &Rc<Self>) -> Rc<Self> {
        let child = Self::new();
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
            // Reversed, because the last of the stack is next: the first child is woken
            // first.
            found.extend(node.children.take().into_iter().rev());
            drop(node.parent.take());
        }
        wakers.wake();
    }

    fn adopt(self: &Rc<Self>, child: Rc<Self>) {
        let mut children = self.children.borrow_mut();
        child.index.set(children.len());
        let before = child.parent.replace(Some(Rc::clone(self)));
        children.push(child);
        drop(children);
        drop(before);
    }

    fn leave_parent(&self) -> Option<Rc<Self>> {
        let parent = self.parent.take()?;
        let index = self.index.get();
        let mut children = parent.children.borrow_mut();
        let own = children.swap_remove(index);
        if let Some(moved) = children.get(index) {
            moved.index.set(index);
        }
        // After a burst of children, memory for a few times their number is kept.
        if children.len() < children.capacity() / 8 {
            let needed = children.len() * 2;
            children.shrink_to(needed);
        }
        drop(children);
        // This runs no destructor, because the caller has an `Rc` of the node too.
        drop(own);
        Some(parent)
    }
}
