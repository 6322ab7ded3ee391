//! The tree of what can be cancelled by itself, in one task.
//!
//! A task is the root; below it are cancel scopes, brackets and shields, each a
//! [`Branch`] that its future owns. A branch finds its parent when it is polled:
//! the node that is current then. So a future may move from one task to another.
//!
//! # Invariants
//!
//! 1. A node is cancelled if somebody asked for that, or its parent is and the
//!    node is no shield. Cancelling walks down once; so to ask costs nothing.
//! 2. A node is engaged while something at it or below has to be done before its
//!    owner may drop the future. Each engaged node counts once at its parent.
//! 3. What ends an engagement below a cancelled node wakes whoever polls that.
//! 4. Nothing is borrowed while a waker is cloned, woken or dropped.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};

use slab::Slab;

use crate::context;
use crate::panics;
use crate::time::Instant;

/// So many polls in a row may show no sign of what was woken before that counts
/// as out of reach: a future that sits in a variable and is not polled, or was
/// forgotten. More than one, as futures that hold others may put some off.
const PATIENCE: u8 = 16;

/// Something that can be cancelled, or holds off cancellation.
pub(crate) struct Node {
    shields: bool,
    parent: RefCell<Option<Place>>,
    children: RefCell<Slab<Weak<Node>>>,
    cancelled: Cell<bool>,
    /// Whether that was asked of this very node.
    requested: Cell<bool>,
    /// When it is to be cancelled by whoever polls it.
    deadline: Cell<Option<Instant>>,
    /// What is at it and below that has to end by itself.
    engaged: Cell<usize>,
    /// Whether it was polled since it was last told of a cancellation.
    seen: Cell<bool>,
    /// Whether its parent has given it up.
    lost: Cell<bool>,
    unseen: Cell<usize>,
    fruitless: Cell<u8>,
    /// Of who polls it.
    waker: Cell<Option<Waker>>,
}

/// A place among the children of a node.
struct Place {
    parent: Rc<Node>,
    key: usize,
}

impl Node {
    /// A node without a parent.
    pub(crate) fn root() -> Rc<Node> {
        Rc::new(Node::new(false))
    }

    fn new(shields: bool) -> Node {
        Node {
            shields,
            parent: RefCell::default(),
            children: RefCell::default(),
            cancelled: Cell::new(false),
            requested: Cell::new(false),
            deadline: Cell::new(None),
            engaged: Cell::new(0),
            seen: Cell::new(true),
            lost: Cell::new(false),
            unseen: Cell::new(usize::MAX),
            fruitless: Cell::new(0),
            waker: Cell::new(None),
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
    pub(crate) fn cancel(self: &Rc<Self>) {
        self.requested.set(true);
        if self.cancelled.replace(true) {
            return;
        }
        self.wake();
        self.spread();
        context::with_running(|event_loop| event_loop.tasks.upkeeps.freeze_current());
    }

    pub(crate) fn set_deadline(&self, deadline: Instant) {
        self.deadline.set(Some(deadline));
    }

    /// Cancels it at its deadline; or what it is in, if that is due as well,
    /// though nobody has polled that yet.
    pub(crate) fn cancel_due(self: &Rc<Self>, now: Instant) {
        let mut due = Rc::clone(self);
        let mut next = Rc::clone(self);
        while !next.shields
            && let Some(parent) = next.parent()
        {
            if parent
                .deadline
                .get()
                .is_some_and(|deadline| deadline <= now)
            {
                due = Rc::clone(&parent);
            }
            next = parent;
        }
        due.cancel();
    }

    fn parent(&self) -> Option<Rc<Node>> {
        let parent = self.parent.borrow();
        parent.as_ref().map(|place| Rc::clone(&place.parent))
    }

    /// Tells what is below that this is cancelled.
    fn spread(&self) {
        let mut next = self.living_children();
        while let Some(node) = next.pop() {
            node.seen.set(false);
            if !node.shields {
                if node.cancelled.replace(true) {
                    continue;
                }
                next.append(&mut node.living_children());
            }
            node.wake();
        }
    }

    fn living_children(&self) -> Vec<Rc<Node>> {
        let children = self.children.borrow();
        children
            .iter()
            .filter_map(|(_, node)| node.upgrade())
            .collect()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            panics::caught(|| waker.wake());
        }
    }

    /// Keeps the waker of whoever polls it.
    pub(crate) fn wait(&self, context: &Context<'_>) {
        match self.waker.take() {
            Some(same) if same.will_wake(context.waker()) => self.waker.set(Some(same)),
            before => {
                let waker = context.waker().clone();
                let between = self.waker.replace(Some(waker));
                drop((before, between));
            }
        }
    }

    fn engage(&self) {
        let engaged = self.engaged.get();
        self.engaged.set(engaged + 1);
        if engaged == 0 && !self.lost.get() {
            self.tell_parent(Node::engage);
        }
    }

    fn disengage(&self) {
        let engaged = self.engaged.get() - 1;
        self.engaged.set(engaged);
        if engaged == 0 && !self.lost.get() {
            self.tell_parent(Node::disengage);
        }
        if self.is_cancelled() {
            self.wake();
        }
    }

    fn tell_parent(&self, tell: fn(&Node)) {
        if let Some(parent) = self.parent() {
            tell(&parent);
        }
    }

    /// Whether nothing below has to end by itself.
    pub(crate) fn is_free(&self) -> bool {
        self.engaged.get() == 0
    }

    /// Whether the cancelled future of this node may be dropped: nothing is
    /// engaged below it, but for `own` that its owner has itself. To be asked
    /// after a poll that was pending; it has the future polled again if that may
    /// help.
    pub(crate) fn is_quiet(&self, own: usize, context: &Context<'_>) -> bool {
        if self.engaged.get() <= own {
            return true;
        }
        let unseen = self.count_unseen(false);
        if unseen == 0 {
            return false;
        }
        if unseen < self.unseen.replace(unseen) {
            self.fruitless.set(0);
        } else {
            self.fruitless.set(self.fruitless.get() + 1);
        }
        if self.fruitless.get() >= PATIENCE {
            self.unseen.set(usize::MAX);
            self.count_unseen(true);
            return self.engaged.get() <= own;
        }
        context.waker().wake_by_ref();
        false
    }

    /// How many nodes below are engaged, and were not polled since they were
    /// told of the cancellation. Gives these up, if `give_up`.
    fn count_unseen(&self, give_up: bool) -> usize {
        let mut count = 0;
        let mut next = self.living_children();
        while let Some(node) = next.pop() {
            if node.engaged.get() == 0 || node.lost.get() {
                continue;
            }
            if node.seen.get() {
                if !node.shields {
                    next.append(&mut node.living_children());
                }
                continue;
            }
            count += 1;
            if give_up {
                node.lost.set(true);
                node.tell_parent(Node::disengage);
            }
        }
        count
    }

    /// Makes it a child of `parent`, which it is already in most cases.
    fn adopt(self: &Rc<Self>, parent: Option<&Rc<Node>>) {
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
    fn move_to(self: &Rc<Self>, parent: Option<&Rc<Node>>) {
        self.leave();
        self.lost.set(false);
        if let Some(parent) = parent {
            let key = parent.children.borrow_mut().insert(Rc::downgrade(self));
            *self.parent.borrow_mut() = Some(Place {
                parent: Rc::clone(parent),
                key,
            });
            if self.engaged.get() > 0 {
                parent.engage();
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
        if self.engaged.get() > 0 && !self.lost.get() {
            parent.disengage();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("cancelled", &self.cancelled)
            .field("engaged", &self.engaged)
            .finish_non_exhaustive()
    }
}

/// Owns a node that is part of the tree while its future is.
#[derive(Debug)]
pub(crate) struct Branch(Rc<Node>);

impl Branch {
    /// What can be cancelled.
    pub(crate) fn new() -> Branch {
        Branch(Node::root())
    }

    /// What is not cancelled with what it is in.
    pub(crate) fn shield() -> Branch {
        Branch(Rc::new(Node::new(true)))
    }

    pub(crate) fn node(&self) -> &Rc<Node> {
        &self.0
    }

    /// From now on the owner has something to do before it may be dropped, until
    /// the guard is.
    pub(crate) fn engage(&self) -> Engaged {
        self.0.engage();
        Engaged(Rc::clone(&self.0))
    }

    /// Calls `poll` with this the current node, in the one that is current now.
    pub(crate) fn poll<R>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.arrive(context);
        let _entered = self.0.enter();
        poll(context)
    }

    /// Takes its place in the tree, without entering it.
    pub(crate) fn arrive(&self, context: &Context<'_>) {
        let parent = current();
        self.0.adopt(parent.as_ref());
        self.0.seen.set(true);
        self.0.wait(context);
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.0.leave();
        drop(self.0.waker.take());
    }
}

/// Ends an engagement when it is dropped.
#[derive(Debug)]
pub(crate) struct Engaged(Rc<Node>);

impl Drop for Engaged {
    fn drop(&mut self) {
        self.0.disengage();
    }
}

/// The node that runs: that of a scope, bracket or shield, or of the task.
pub(crate) fn current() -> Option<Rc<Node>> {
    context::with_running(|event_loop| event_loop.tasks.current_node())?
}

impl Node {
    /// Makes it the current one.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        let before = context::with_running(|event_loop| {
            let tasks = &event_loop.tasks;
            let units = tasks.budget.enter(self.is_cancelled());
            let node = tasks.upkeeps.replace_current(Some(Rc::clone(self)));
            (node, units)
        });
        Entered(before)
    }
}

/// Makes the node of before the current one again, even after a panic.
#[derive(Debug)]
pub(crate) struct Entered(Option<(Option<Rc<Node>>, i64)>);

impl Drop for Entered {
    fn drop(&mut self) {
        let Some((node, units)) = self.0.take() else {
            return;
        };
        let inner = context::with_running(|event_loop| {
            let tasks = &event_loop.tasks;
            let inner = tasks.upkeeps.replace_current(node);
            let frozen = tasks.is_current_cancelled();
            tasks.budget.leave(units, frozen);
            inner
        });
        drop(inner);
    }
}
