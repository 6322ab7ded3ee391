//! [`NodeGuard`]: owns the cancel node of a future. [`EnteredNode`]: makes a node the current
//! one while its future is polled.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::CleanupGroup;
use crate::engine::cancel::node::CancelNode;
use crate::engine::cancel::site::{EnteredSite, poll_empty};
use crate::engine::task::budget::poll_thawed;
use crate::engine::task::running;
use crate::engine::task::scheduler::Scheduler;

/// The cancel node of a scope, bracket or shield, and the group that counts the cleanups of
/// the guards dropped in it.
///
/// The future owns it. Dropping it takes the node out of the tree.
#[derive(Debug)]
pub(crate) struct NodeGuard {
    node: Rc<CancelNode>,
    group: Rc<CleanupGroup>,
}

impl NodeGuard {
    /// Creates a node that can be cancelled.
    pub(crate) fn new() -> Self {
        Self::of(CancelNode::new())
    }

    /// Creates a node that is not cancelled with the code around it.
    pub(crate) fn shield() -> Self {
        Self::of(CancelNode::shield())
    }

    fn of(node: Rc<CancelNode>) -> Self {
        Self {
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

    /// Makes the code around wait for the owner, if that code is cancelled, until the
    /// returned value is dropped.
    pub(crate) fn add_pending(&self) -> PendingCleanup {
        self.node.add_pending();
        PendingCleanup(Rc::clone(&self.node))
    }

    /// Calls `poll` with this node as the current one, below the node that is current now.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.attach(cx);
        let _node = EnteredNode::enter(&self.node);
        let _site = EnteredSite::enter_group(&self.group);
        poll(cx)
    }

    /// Puts the node below the current one, without making it the current one itself.
    pub(crate) fn attach(&self, cx: &Context<'_>) {
        let parent = current();
        self.node.attach(parent.as_ref(), cx);
    }

    /// Calls `drop`, which drops the future of this node. The cleanups of the guards in it
    /// count for this group.
    pub(crate) fn drop_inside(&self, drop: impl FnOnce()) {
        let _site = EnteredSite::enter_group(&self.group);
        drop();
    }

    /// Waits for the cleanups of the guards that were dropped in this group, and for the
    /// cleanups that these add. Stays pending while the code around is cancelled.
    pub(crate) async fn until_empty(&self) {
        if !self.group.is_empty() {
            poll_fn(|cx| {
                ready!(poll_thawed());
                poll_empty(&self.group, cx)
            })
            .await;
        }
    }

    /// Like [`until_empty`](NodeGuard::until_empty), but completes even in cancelled code.
    pub(crate) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.group.is_empty() {
            return Poll::Ready(());
        }
        // A cancellation from here on has to wake this future.
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

/// Keeps its node pending until it is dropped.
#[derive(Debug)]
pub(crate) struct PendingCleanup(Rc<CancelNode>);

impl Drop for PendingCleanup {
    fn drop(&mut self) {
        self.0.remove_pending();
    }
}

/// Returns the node of the running code: of a scope, bracket or shield, or of the task.
fn current() -> Option<Rc<CancelNode>> {
    running::with_running(Scheduler::current_node)?
}

/// Keeps a node the current one until it is dropped, also by a panic. Then the node that was
/// current before is so again. `None` if no loop is running.
#[derive(Debug)]
pub(super) struct EnteredNode(Option<(Option<Rc<CancelNode>>, i64)>);

impl EnteredNode {
    /// Makes `node` the current one, and freezes the budget if it is cancelled.
    pub(super) fn enter(node: &Rc<CancelNode>) -> Self {
        let before = running::with_running(|tasks| {
            let units = tasks.budget.enter(node.is_cancelled());
            let before = tasks.cleanup_states.replace_current(Some(Rc::clone(node)));
            (before, units)
        });
        Self(before)
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
