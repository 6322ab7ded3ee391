//! What is engaged at a node and below it, and when the future of a cancelled node may
//! be dropped.

use std::rc::Rc;
use std::task::Context;

use crate::engine::cancel::node::Node;

/// How many polls in a row may show no sign of what was woken, before that counts
/// as out of reach: a future that sits in a variable and is not polled, or was
/// forgotten. It is more than one, as futures that hold others may put some off.
const PATIENCE: u8 = 16;

impl Node {
    /// Counts something that has to end by itself, here and above as far as that
    /// changes anything. Without recursion, as the tree may be deeper than the stack.
    pub(crate) fn engage(&self) {
        let mut next = self.count_engaged();
        while let Some(parent) = next {
            next = parent.count_engaged();
        }
    }

    fn count_engaged(&self) -> Option<Rc<Node>> {
        let engaged = self.engaged.get();
        self.engaged.set(engaged + 1);
        self.parent_to_count(engaged == 0)
    }

    /// Counts something as ended that was engaged.
    pub(crate) fn disengage(&self) {
        let mut next = self.count_disengaged();
        while let Some(parent) = next {
            next = parent.count_disengaged();
        }
    }

    fn count_disengaged(&self) -> Option<Rc<Node>> {
        let engaged = self.engaged.get() - 1;
        self.engaged.set(engaged);
        let parent = self.parent_to_count(engaged == 0);
        if self.is_cancelled() {
            // Foreign code, which may move the node; the parent was looked up before.
            self.wake();
        }
        parent
    }

    /// The node at which this one counts, if its count came from or went to zero.
    fn parent_to_count(&self, changes: bool) -> Option<Rc<Node>> {
        if changes && !self.lost.get() {
            self.parent()
        } else {
            None
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
        if self.all_seen.get() {
            return false;
        }
        let unseen = self.count_unseen(false);
        if unseen == 0 {
            self.all_seen.set(true);
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

    /// How many nodes below are engaged, and were not polled since they were cancelled.
    /// Gives these up, if `give_up`.
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
                if let Some(parent) = node.parent() {
                    parent.disengage();
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use crate::engine::cancel::node::Node;

    #[test]
    fn a_deep_tree_counts_without_recursion() {
        let depth = if cfg!(miri) { 50 } else { 100_000 };
        let mut nodes = vec![Node::root()];
        for _ in 0..depth {
            let node = Node::root();
            node.adopt(nodes.last());
            nodes.push(node);
        }
        let (top, bottom) = (Rc::clone(&nodes[0]), Rc::clone(&nodes[depth]));
        bottom.engage();
        bottom.engage();
        assert!(!top.is_free());
        bottom.disengage();
        assert!(!top.is_free());
        bottom.disengage();
        assert!(top.is_free());
        for node in nodes {
            node.depart();
        }
    }
}
