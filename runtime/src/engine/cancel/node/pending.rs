//! What is pending at a node and below it, and when the future of a cancelled node may
//! be dropped.

use std::rc::Rc;
use std::task::Context;

use crate::engine::cancel::node::CancelNode;

/// How many polls in a row may show no sign of what was woken, before that counts
/// as out of reach: a future that sits in a variable and is not polled, or was
/// forgotten. It is more than one, as futures that hold others may put some off.
const PATIENCE: u8 = 16;

impl CancelNode {
    /// Counts something that has to end by itself, here and above as far as that
    /// changes anything. Without recursion, as the tree may be deeper than the stack.
    pub(crate) fn add_pending(&self) {
        let mut next = self.count_pending();
        while let Some(parent) = next {
            next = parent.count_pending();
        }
    }

    fn count_pending(&self) -> Option<Rc<CancelNode>> {
        let pending = self.pending.get();
        self.pending.set(pending + 1);
        self.parent_to_count(pending == 0)
    }

    /// Counts something as ended that was pending.
    pub(crate) fn remove_pending(&self) {
        let mut next = self.count_finished();
        while let Some(parent) = next {
            next = parent.count_finished();
        }
    }

    fn count_finished(&self) -> Option<Rc<CancelNode>> {
        let pending = self.pending.get() - 1;
        self.pending.set(pending);
        let parent = self.parent_to_count(pending == 0);
        if self.is_cancelled() {
            // Foreign code, which may move the node; the parent was looked up before.
            self.wake();
        }
        parent
    }

    /// The node at which this one counts, if its count came from or went to zero.
    fn parent_to_count(&self, changes: bool) -> Option<Rc<CancelNode>> {
        if changes && !self.given_up.get() {
            self.parent()
        } else {
            None
        }
    }

    /// Whether nothing below has to end by itself.
    pub(crate) fn has_no_pending(&self) -> bool {
        self.pending.get() == 0
    }

    /// Whether the cancelled future of this node may be dropped: nothing is
    /// pending below it, but for `own` that its owner has itself. To be asked
    /// after a poll that was pending; it has the future polled again if that may
    /// help.
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
        if self.vain_polls.get() >= PATIENCE {
            self.unpolled.set(usize::MAX);
            self.count_unpolled(true);
            return self.pending.get() <= own;
        }
        cx.waker().wake_by_ref();
        false
    }

    /// How many nodes below are pending, and were not polled since they were cancelled.
    /// Gives these up, if `give_up`.
    fn count_unpolled(&self, give_up: bool) -> usize {
        let mut count = 0;
        let mut next = self.living_children();
        while let Some(node) = next.pop() {
            if node.pending.get() == 0 || node.given_up.get() {
                continue;
            }
            if node.polled.get() {
                if !node.shields {
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
        let mut nodes = vec![CancelNode::root()];
        for _ in 0..depth {
            let node = CancelNode::root();
            node.adopt(nodes.last());
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
