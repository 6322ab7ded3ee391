//! [`NodeGuard`]: a place in the tree for as long as a future lives, and the way
//! into it for as long as a poll lasts.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::CleanupGroup;
use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::site::{EnteredSite, poll_empty};
use crate::engine::task::budget::poll_thawed;
use crate::engine::task::running;

/// Owns a node that is group of the tree while its future is, and the count of the
/// cleanups that its future leaves.
#[derive(Debug)]
pub(crate) struct NodeGuard {
    node: Rc<CancelNode>,
    group: Rc<CleanupGroup>,
}

impl NodeGuard {
    /// What can be cancelled.
    pub(crate) fn new() -> NodeGuard {
        NodeGuard::of(CancelNode::root())
    }

    /// What is not cancelled with what it is in.
    pub(crate) fn shield() -> NodeGuard {
        NodeGuard::of(CancelNode::shield())
    }

    fn of(node: Rc<CancelNode>) -> NodeGuard {
        NodeGuard {
            node,
            group: Rc::default(),
        }
    }

    pub(crate) fn node(&self) -> &Rc<CancelNode> {
        &self.node
    }

    pub(crate) fn group(&self) -> &Rc<CleanupGroup> {
        &self.group
    }

    /// From now on the owner has something to do before it may be dropped, until
    /// the guard is.
    pub(crate) fn add_pending(&self) -> PendingCleanup {
        self.node.add_pending();
        PendingCleanup(Rc::clone(&self.node))
    }

    /// Calls `poll` with this the current node, in the one that is current now.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.attach(cx);
        let _entered = EnteredNode::enter(&self.node);
        let _inside = EnteredSite::enter_group(&self.group);
        poll(cx)
    }

    /// Takes its place in the tree, without entering it.
    pub(crate) fn attach(&self, cx: &Context<'_>) {
        let parent = current();
        self.node.attach(parent.as_ref(), cx);
    }

    /// Calls `drop`, which drops what the branch is for. The guards in it are closed
    /// before the branch is.
    pub(crate) fn drop_inside(&self, drop: impl FnOnce()) {
        let _inside = EnteredSite::enter_group(&self.group);
        drop();
    }

    /// Waits for the cleanups of the guards that were dropped in the branch, and for
    /// those that these leave. Pending as long as what is around is cancelled.
    pub(crate) async fn closed(&self) {
        if !self.group.is_empty() {
            poll_fn(|cx| {
                ready!(poll_thawed());
                poll_empty(&self.group, cx)
            })
            .await;
        }
    }

    /// As [`closed`](NodeGuard::closed), for a future that is polled although it is cancelled.
    pub(crate) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.group.is_empty() {
            return Poll::Ready(());
        }
        // To be polled, and woken, by whatever cancels it now.
        self.attach(cx);
        poll_empty(&self.group, cx)
    }
}

impl Drop for NodeGuard {
    fn drop(&mut self) {
        self.node.detach();
        self.group.detach();
    }
}

/// Ends an engagement when it is dropped.
#[derive(Debug)]
pub(crate) struct PendingCleanup(Rc<CancelNode>);

impl Drop for PendingCleanup {
    fn drop(&mut self) {
        self.0.remove_pending();
    }
}

/// The node that runs: that of a scope, bracket or shield, or of the task.
fn current() -> Option<Rc<CancelNode>> {
    running::with_running(|tasks| tasks.current_node())?
}

/// Makes the node of before the current one again, even after a panic.
#[derive(Debug)]
pub(crate) struct EnteredNode(Option<(Option<Rc<CancelNode>>, i64)>);

impl EnteredNode {
    /// Makes `node` the current one.
    pub(crate) fn enter(node: &Rc<CancelNode>) -> EnteredNode {
        let before = running::with_running(|tasks| {
            let units = tasks.budget.enter(node.is_cancelled());
            let before = tasks.cleanup_states.replace_current(Some(Rc::clone(node)));
            (before, units)
        });
        EnteredNode(before)
    }
}

impl Drop for EnteredNode {
    fn drop(&mut self) {
        let Some((node, units)) = self.0.take() else {
            return;
        };
        let inner = running::with_running(|tasks| {
            let inner = tasks.cleanup_states.replace_current(node);
            let frozen = tasks.is_current_cancelled();
            tasks.budget.leave(units, frozen);
            inner
        });
        drop(inner);
    }
}
