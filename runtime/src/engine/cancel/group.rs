//! [`CleanupGroup`]: counts the unfinished cleanups of a part of a task that waits for them.
//!
//! Every [`NodeGuard`](super::node_guard::NodeGuard) has one. A cleanup counts for the group
//! in which its guard was dropped. The cleanups that it adds count for the same group,
//! because the queue enters that group again while it polls the cleanup. So a group whose
//! count is zero has no cleanup left, however deep cleanups add cleanups.
//!
//! Groups are nested. A group that has cleanups left counts once for the group around it,
//! also after its future was dropped.
//!
//! Each child of a scope is a group too, but has a number in the group of its scope instead
//! of an allocation, because few children leave cleanups.
//!
//! # Invariants
//!
//! 1. `unfinished` is the number of the [`CountedCleanup`]s of the group and of those groups
//!    directly within it whose `unfinished` is not zero.
//! 2. `outer` changes in `move_to` only, which moves the count along.
//! 3. Nothing is borrowed while a waker is cloned, woken or dropped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use crate::engine::panics::UserValue;
use crate::engine::waker_cell::WakerCell;

/// The number of unfinished cleanups of the guards that were dropped in the future of one
/// `NodeGuard`.
#[derive(Default)]
pub(crate) struct CleanupGroup {
    /// See invariant 1.
    unfinished: Cell<usize>,
    /// The waker of the owner, which waits until the count is zero.
    pub(super) waker: WakerCell,
    /// The number of the child that is being polled; 0 if none is.
    child: Cell<u64>,
    /// The children that have cleanups left, by number.
    children: RefCell<BTreeMap<u64, Child>>,
    /// The site at which the future of the group was polled last.
    outer: RefCell<Option<CleanupSite>>,
}

/// A child of a scope that has cleanups left, and the waker of the handle that waits for
/// them.
#[derive(Default)]
struct Child {
    unfinished: usize,
    waker: UserValue<Waker>,
}

/// The place where code drops guards: a group, or a child of the scope to which the group
/// belongs.
#[derive(Clone)]
pub(super) struct CleanupSite {
    pub(super) group: Rc<CleanupGroup>,
    /// The number of the child; 0 for the group itself.
    pub(super) child: u64,
}

impl CleanupGroup {
    /// Returns whether the group has no cleanup left.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.unfinished.get() == 0
    }

    /// Returns whether a child has no cleanup left.
    pub(super) fn is_child_empty(&self, number: u64) -> bool {
        !self.children.borrow().contains_key(&number)
    }

    /// Drops the waker of the owner, which is being dropped itself.
    pub(super) fn detach(&self) {
        drop(self.waker.take());
    }

    /// Sets which child is polled from now on; 0 for none.
    #[inline]
    pub(crate) fn set_child(&self, number: u64) {
        self.child.set(number);
    }

    /// Sets the site around the group, and moves the count of the group to it.
    pub(super) fn move_to(&self, outer: Option<CleanupSite>) {
        let is_same = match (&*self.outer.borrow(), &outer) {
            (Some(before), Some(outer)) => before.is_same(outer),
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

    /// Counts one more cleanup, of a child unless `child` is 0. Returns whether the group was
    /// empty.
    fn add(&self, child: u64) -> bool {
        if child != 0 {
            let mut children = self.children.borrow_mut();
            children.entry(child).or_default().unfinished += 1;
        }
        let unfinished = self.unfinished.get();
        self.unfinished.set(unfinished + 1);
        unfinished == 0
    }

    /// Counts one cleanup less. Returns whether the group is empty now.
    fn remove(&self) -> bool {
        let unfinished = self.unfinished.get() - 1;
        self.unfinished.set(unfinished);
        unfinished == 0
    }

    /// Counts one cleanup of a child less. Returns its waker if none is left.
    fn remove_from(&self, child: u64) -> Option<UserValue<Waker>> {
        let mut children = self.children.borrow_mut();
        let unfinished = &mut children.get_mut(&child)?.unfinished;
        *unfinished -= 1;
        if *unfinished > 0 {
            return None;
        }
        Some(children.remove(&child)?.waker)
    }

    /// Exchanges the waker of a child that has cleanups left.
    pub(super) fn swap_waker(&self, child: u64, waker: &mut UserValue<Waker>) {
        if let Some(child) = self.children.borrow_mut().get_mut(&child) {
            mem::swap(&mut child.waker, waker);
        }
    }
}

impl Drop for CleanupGroup {
    /// Drops the groups around this one without recursion, because there may be many.
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
            .field("unfinished", &self.unfinished)
            .finish_non_exhaustive()
    }
}

impl CleanupSite {
    fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.group, &other.group) && self.child == other.child
    }

    /// Returns the site of the code that entered this one: the child that is being polled, if
    /// there is one.
    pub(super) fn current(&self) -> Self {
        let mut site = self.clone();
        if site.child == 0 {
            site.child = site.group.child.get();
        }
        site
    }

    /// Counts a cleanup here, and in each group around that was empty.
    pub(super) fn add(&self) {
        let mut next = Some(self.clone());
        while let Some(site) = next {
            let was_empty = site.group.add(site.child);
            next = if was_empty { site.group.outer() } else { None };
        }
    }

    /// Counts a cleanup as finished, and wakes the futures that wait for the last one.
    pub(super) fn remove(&self) {
        let mut next = Some(self.clone());
        while let Some(Self { group, child }) = next {
            let (outer, owner) = if group.remove() {
                (group.outer(), Some(group.waker.take()))
            } else {
                (None, None)
            };
            let handle = group.remove_from(child);
            // The wakers may move the group, which was counted in this one.
            next = outer;
            [handle, owner]
                .into_iter()
                .flatten()
                .for_each(UserValue::wake);
        }
    }
}

/// A cleanup that has not finished, counted in a group. Dropping this counts it as
/// finished.
pub(super) struct CountedCleanup(CleanupSite);

impl CountedCleanup {
    pub(super) fn at(site: CleanupSite) -> Self {
        site.add();
        Self(site)
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
