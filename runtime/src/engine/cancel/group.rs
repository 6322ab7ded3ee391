//! [`CleanupGroup`]: a group of a task that waits for the cleanups it leaves.
//!
//! Every [`NodeGuard`](super::branch::NodeGuard) has one. A cleanup counts for the group in
//! which its guard was dropped. The cleanups that it leaves count for the same group,
//! as the lane enters that again while it polls the cleanup. So a group whose count is
//! zero has no cleanup left, however deep cleanups leave cleanups.
//!
//! Parts lie within each other. A group that has cleanups left counts once for the
//! group around it, and does so after its future was dropped too.
//!
//! The children of a scope are parts as well, but have a number in the group of their
//! scope instead of an allocation, because few of them leave cleanups.
//!
//! # Invariants
//!
//! 1. `open` is the number of the [`CountedCleanup`](super::counted::CountedCleanup)s of the group and
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
use crate::engine::waker_cell::WakerCell;

/// What waits for the cleanups of the guards that are dropped in it.
#[derive(Default)]
pub(crate) struct CleanupGroup {
    open: Cell<usize>,
    /// Of its owner, which waits for the count to be zero.
    pub(super) waker: WakerCell,
    /// The number of the child that is being polled; 0 while none is.
    child: Cell<u64>,
    /// The children that have cleanups left.
    children: RefCell<BTreeMap<u64, Child>>,
    /// Where it was polled last.
    outer: RefCell<Option<CleanupSite>>,
}

#[derive(Default)]
struct Child {
    open: usize,
    waker: Foreign<Waker>,
}

/// Where code drops guards: in a group, or in a child of the scope that the group is.
#[derive(Clone)]
pub(crate) struct CleanupSite {
    pub(crate) group: Rc<CleanupGroup>,
    /// 0 for the group itself.
    pub(crate) child: u64,
}

impl CleanupGroup {
    /// Whether no cleanup is left of it.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.open.get() == 0
    }

    /// Whether no cleanup is left of a child.
    pub(crate) fn is_child_empty(&self, number: u64) -> bool {
        !self.children.borrow().contains_key(&number)
    }

    /// Lets go of the waker of its owner, which is dropped.
    pub(crate) fn detach(&self) {
        drop(self.waker.take());
    }

    /// Notes which of the children is polled from now on; 0 for none.
    #[inline]
    pub(crate) fn set_child(&self, number: u64) {
        self.child.set(number);
    }

    pub(super) fn move_to(&self, outer: Option<CleanupSite>) {
        let is_same = match (&*self.outer.borrow(), &outer) {
            (Some(before), Some(outer)) => before.is(outer),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        let is_empty = self.is_empty();
        if let Some(outer) = &outer
            && !is_empty
        {
            outer.add();
        }
        if let Some(before) = self.outer.replace(outer)
            && !is_empty
        {
            before.remove();
        }
    }

    fn outer(&self) -> Option<CleanupSite> {
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

impl Drop for CleanupGroup {
    /// Lets go of the parts around it without recursion, as they may be many.
    fn drop(&mut self) {
        let mut outer = self.outer.take();
        while let Some(site) = outer {
            outer = Rc::into_inner(site.group).and_then(|group| group.outer.take());
        }
    }
}

impl fmt::Debug for CleanupGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleanupGroup")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl CleanupSite {
    fn is(&self, other: &CleanupSite) -> bool {
        Rc::ptr_eq(&self.group, &other.group) && self.child == other.child
    }

    /// The site of code that entered this one: a child of it, if one is being polled.
    pub(crate) fn current(&self) -> CleanupSite {
        let mut site = self.clone();
        if site.child == 0 {
            site.child = site.group.child.get();
        }
        site
    }

    /// Counts a cleanup here, and in the parts around.
    pub(crate) fn add(&self) {
        let mut next = Some(self.clone());
        while let Some(site) = next {
            let was_empty = site.group.add(site.child);
            next = if was_empty { site.group.outer() } else { None };
        }
    }

    /// Counts a cleanup as ended, and wakes what waits for the last one.
    pub(crate) fn remove(&self) {
        let mut next = Some(self.clone());
        while let Some(CleanupSite { group, child }) = next {
            let (outer, owner) = if group.remove() {
                (group.outer(), Some(group.waker.take()))
            } else {
                (None, None)
            };
            let handle = group.remove_from(child);
            // The wakes may move the group; it counted at this one.
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
pub(super) struct CountedCleanup(CleanupSite);

impl CountedCleanup {
    pub(super) fn at(site: CleanupSite) -> CountedCleanup {
        site.add();
        CountedCleanup(site)
    }

    pub(super) fn site(&self) -> &CleanupSite {
        &self.0
    }
}

impl Drop for CountedCleanup {
    fn drop(&mut self) {
        self.0.remove();
    }
}
