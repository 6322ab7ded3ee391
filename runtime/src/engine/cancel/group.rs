//! [`Part`]: a part of a task that waits for the cleanups it leaves.
//!
//! Every [`Branch`](super::branch::Branch) has one. A cleanup counts for the part in
//! which its guard was dropped. The cleanups that it leaves count for the same part,
//! as the lane enters that again while it polls the cleanup. So a part whose count is
//! zero has no cleanup left, however deep cleanups leave cleanups.
//!
//! Parts lie within each other. A part that has cleanups left counts once for the
//! part around it, and does so after its future was dropped too.
//!
//! The children of a scope are parts as well, but have a number in the part of their
//! scope instead of an allocation, because few of them leave cleanups.
//!
//! # Invariants
//!
//! 1. `open` is the number of the [`Counted`](super::counted::Counted)s of the part and
//!    of those parts directly within it whose `open` is not zero.
//! 2. `outer` changes in `move_to` only, which moves the count along.
//! 3. Nothing is borrowed while a waker is cloned, woken or dropped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use crate::engine::panics::Foreign;
use crate::engine::waker_cell::WakerSlot;

/// What waits for the cleanups of the guards that are dropped in it.
#[derive(Default)]
pub(crate) struct Part {
    open: Cell<usize>,
    /// Of its owner, which waits for the count to be zero.
    pub(super) waker: WakerSlot,
    /// The number of the child that is being polled; 0 while none is.
    child: Cell<u64>,
    /// The children that have cleanups left.
    children: RefCell<BTreeMap<u64, Child>>,
    /// Where it was polled last.
    outer: RefCell<Option<Site>>,
}

#[derive(Default)]
struct Child {
    open: usize,
    waker: Foreign<Waker>,
}

/// Where code drops guards: in a part, or in a child of the scope that the part is.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) part: Rc<Part>,
    /// 0 for the part itself.
    pub(crate) child: u64,
}

impl Part {
    /// Whether no cleanup is left of it.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.open.get() == 0
    }

    /// Whether no cleanup is left of a child.
    pub(crate) fn is_child_closed(&self, number: u64) -> bool {
        !self.children.borrow().contains_key(&number)
    }

    /// Lets go of the waker of its owner, which is dropped.
    pub(crate) fn depart(&self) {
        drop(self.waker.take());
    }

    /// Notes which of the children is polled from now on; 0 for none.
    #[inline]
    pub(crate) fn set_child(&self, number: u64) {
        self.child.set(number);
    }

    pub(super) fn move_to(&self, outer: Option<Site>) {
        let is_same = match (&*self.outer.borrow(), &outer) {
            (Some(before), Some(outer)) => before.is(outer),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        let is_closed = self.is_closed();
        if let Some(outer) = &outer
            && !is_closed
        {
            outer.add();
        }
        if let Some(before) = self.outer.replace(outer)
            && !is_closed
        {
            before.remove();
        }
    }

    fn outer(&self) -> Option<Site> {
        self.outer.borrow().clone()
    }

    /// Counts one cleanup more. Returns whether there was none before.
    fn add(&self, child: u64) -> bool {
        if child != 0 {
            let mut children = self.children.borrow_mut();
            children.entry(child).or_default().open += 1;
        }
        let open = self.open.get();
        self.open.set(open + 1);
        open == 0
    }

    /// Counts one cleanup less. Returns whether none is left.
    fn remove(&self) -> bool {
        let open = self.open.get() - 1;
        self.open.set(open);
        open == 0
    }

    /// Counts one cleanup of a child less. Returns its waker if none is left.
    fn remove_from(&self, child: u64) -> Option<Foreign<Waker>> {
        let mut children = self.children.borrow_mut();
        let open = &mut children.get_mut(&child)?.open;
        *open -= 1;
        if *open > 0 {
            return None;
        }
        Some(children.remove(&child)?.waker)
    }

    /// Exchanges the waker of a child that has cleanups left.
    pub(crate) fn swap_waker(&self, child: u64, waker: &mut Foreign<Waker>) {
        if let Some(child) = self.children.borrow_mut().get_mut(&child) {
            mem::swap(&mut child.waker, waker);
        }
    }
}

impl Drop for Part {
    /// Lets go of the parts around it without recursion, as they may be many.
    fn drop(&mut self) {
        let mut outer = self.outer.take();
        while let Some(site) = outer {
            outer = Rc::into_inner(site.part).and_then(|part| part.outer.take());
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Site {
    fn is(&self, other: &Site) -> bool {
        Rc::ptr_eq(&self.part, &other.part) && self.child == other.child
    }

    /// The site of code that entered this one: a child of it, if one is being polled.
    pub(crate) fn current(&self) -> Site {
        let mut site = self.clone();
        if site.child == 0 {
            site.child = site.part.child.get();
        }
        site
    }

    /// Counts a cleanup here, and in the parts around.
    pub(crate) fn add(&self) {
        let mut next = Some(self.clone());
        while let Some(site) = next {
            let was_closed = site.part.add(site.child);
            next = if was_closed { site.part.outer() } else { None };
        }
    }

    /// Counts a cleanup as ended, and wakes what waits for the last one.
    pub(crate) fn remove(&self) {
        let mut next = Some(self.clone());
        while let Some(Site { part, child }) = next {
            let (outer, owner) = if part.remove() {
                (part.outer(), Some(part.waker.take()))
            } else {
                (None, None)
            };
            let handle = part.remove_from(child);
            // The wakes may move the part; it counted at this one.
            next = outer;
            [handle, owner]
                .into_iter()
                .flatten()
                .for_each(Foreign::wake);
        }
    }
}

/// A cleanup that has not finished, counted in a group. Dropping this counts it as
/// finished.
pub(super) struct Counted(Site);

impl Counted {
    pub(super) fn at(site: Site) -> Counted {
        site.add();
        Counted(site)
    }

    pub(super) fn site(&self) -> &Site {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.remove();
    }
}
