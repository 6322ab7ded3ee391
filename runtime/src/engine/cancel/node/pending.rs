//! The count of pending cleanups at a node and below it, and the decision when the future of
//! a cancelled node may be dropped.

use std::rc::Rc;
use std::task::Context;

use crate::engine::cancel::node::CancelNode;

/// After this many polls in a row that reached none of the pending nodes which were woken,
/// these nodes count as out of reach: a future that is kept in a variable and not polled, or
/// that was forgotten. It is more than one, because a future that polls others may put some
/// of them off.
const MAX_VAIN_POLLS: u8 = 16;

impl CancelNode {
    /// Counts one more pending cleanup at this node, and at each node above that becomes
    /// pending by it. Does not recurse, because the tree may be deeper than the stack.
    pub(crate) fn add_pending(&self) {
        let mut next = self.count_pending();
        while let Some(parent) = next {
            next = parent.count_pending();
        }
    }

    /// Adds one to the count. Returns the parent if the count was zero.
    fn count_pending(&self) -> Option<Rc<Self>> {
        let pending = self.pending.get();
        self.pending.set(pending + 1);
        self.parent_to_count(pending == 0)
    }

    /// Counts one pending cleanup less, like [`add_pending`](CancelNode::add_pending).
    pub(crate) fn remove_pending(&self) {
        let mut next = self.count_finished();
        while let Some(parent) = next {
            next = parent.count_finished();
        }
    }

    /// Takes one from the count. Returns the parent if the count is zero now.
    fn count_finished(&self) -> Option<Rc<Self>> {
        let pending = self.pending.get() - 1;
        self.pending.set(pending);
        let parent = self.parent_to_count(pending == 0);
        if self.is_cancelled() {
            // This runs user code, which may move the node; the parent was read before.
            self.wake();
        }
        parent
    }

    /// Returns the node that counts this one as pending, if `changes`: the count came from or
    /// went to zero.
    fn parent_to_count(&self, changes: bool) -> Option<Rc<Self>> {
        if changes && !self.given_up.get() {
            self.parent()
        } else {
            None
        }
    }

    /// Returns whether no cleanup is pending at the node or below it.
    pub(crate) fn has_no_pending(&self) -> bool {
        self.pending.get() == 0
    }

    /// Returns whether the future of this node, which is cancelled, may be dropped: nothing is
    /// pending at the node or below it, except for `own` cleanups of the owner.
    ///
    /// Call this after a poll of the future that was pending. It wakes the task of `cx` if
    /// another poll may reach a pending node that was not polled yet.
    pub(crate) fn may_drop(&self, own: usize, cx: &Context<'_>) -> bool {
        if self.pending.get() <= own {
            return true;
        }
        if self.all_polled.get() {
            return false;
        }
        let unpolled = self.count_unpolled(false);
        if unpolled == 0 {
            self.all_polled.set(true);
            return false;
        }
        if unpolled < self.unpolled.replace(unpolled) {
            self.vain_polls.set(0);
        } else {
            self.vain_polls.set(self.vain_polls.get() + 1);
        }
        if self.vain_polls.get() >= MAX_VAIN_POLLS {
            self.unpolled.set(usize::MAX);
            self.count_unpolled(true);
            return self.pending.get() <= own;
        }
        cx.waker().wake_by_ref();
        false
    }

    /// Returns the number of nodes below that are pending and were not polled since the
    /// cancellation. Gives them up if `give_up`.
    fn count_unpolled(&self, give_up: bool) -> usize {
        let mut count = 0;
        let mut next = self.living_children();
        while let Some(node) = next.pop() {
            if node.pending.get() == 0 || node.given_up.get() {
                continue;
            }
            if node.polled.get() {
                if !node.is_shield {
                    next.append(&mut node.living_children());
                }
                continue;
            }
            count += 1;
            if give_up {
                node.given_up.set(true);
                if let Some(parent) = node.parent() {
                    parent.remove_pending();
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use crate::engine::cancel::node::CancelNode;

    #[test]
    fn a_deep_tree_counts_without_recursion() {
        let depth = if cfg!(miri) { 50 } else { 100_000 };
        let mut nodes = vec![CancelNode::new()];
        for _ in 0..depth {
            let node = CancelNode::new();
            node.set_parent(nodes.last());
            nodes.push(node);
        }
        let (top, bottom) = (Rc::clone(&nodes[0]), Rc::clone(&nodes[depth]));
        bottom.add_pending();
        bottom.add_pending();
        assert!(!top.has_no_pending());
        bottom.remove_pending();
        assert!(!top.has_no_pending());
        bottom.remove_pending();
        assert!(top.has_no_pending());
        for node in nodes {
            node.detach();
        }
    }
}
