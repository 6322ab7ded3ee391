//! [`Branch`]: a place in the tree for as long as a future lives, and the way
//! into it for as long as a poll lasts.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::group::Part;
use crate::engine::cancel::node::Node;
use crate::engine::cancel::site::{Inside, poll_closed};
use crate::engine::task::budget::poll_thawed;
use crate::engine::task::running;

/// Owns a node that is part of the tree while its future is, and the count of the
/// cleanups that its future leaves.
#[derive(Debug)]
pub(crate) struct Branch {
    node: Rc<Node>,
    part: Rc<Part>,
}

impl Branch {
    /// What can be cancelled.
    pub(crate) fn new() -> Branch {
        Branch::of(Node::root())
    }

    /// What is not cancelled with what it is in.
    pub(crate) fn shield() -> Branch {
        Branch::of(Node::shield())
    }

    fn of(node: Rc<Node>) -> Branch {
        Branch {
            node,
            part: Rc::default(),
        }
    }

    pub(crate) fn node(&self) -> &Rc<Node> {
        &self.node
    }

    pub(crate) fn part(&self) -> &Rc<Part> {
        &self.part
    }

    /// From now on the owner has something to do before it may be dropped, until
    /// the guard is.
    pub(crate) fn engage(&self) -> Engaged {
        self.node.engage();
        Engaged(Rc::clone(&self.node))
    }

    /// Calls `poll` with this the current node, in the one that is current now.
    pub(crate) fn poll<R>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.arrive(context);
        let _entered = EnteredNode::enter(&self.node);
        let _inside = Inside::enter_part(&self.part);
        poll(context)
    }

    /// Takes its place in the tree, without entering it.
    pub(crate) fn arrive(&self, context: &Context<'_>) {
        let parent = current();
        self.node.arrive(parent.as_ref(), context);
    }

    /// Calls `drop`, which drops what the branch is for. The guards in it are closed
    /// before the branch is.
    pub(crate) fn drop_inside(&self, drop: impl FnOnce()) {
        let _inside = Inside::enter_part(&self.part);
        drop();
    }

    /// Waits for the cleanups of the guards that were dropped in the branch, and for
    /// those that these leave. Pending as long as what is around is cancelled.
    pub(crate) async fn closed(&self) {
        if !self.part.is_closed() {
            poll_fn(|context| {
                ready!(poll_thawed());
                poll_closed(&self.part, context)
            })
            .await;
        }
    }

    /// As [`closed`](Branch::closed), for a future that is polled although it is cancelled.
    pub(crate) fn poll_closed(&self, context: &Context<'_>) -> Poll<()> {
        if self.part.is_closed() {
            return Poll::Ready(());
        }
        // To be seen, and woken, by whatever cancels it now.
        self.arrive(context);
        poll_closed(&self.part, context)
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.node.depart();
        self.part.depart();
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
fn current() -> Option<Rc<Node>> {
    running::with_running(|tasks| tasks.current_node())?
}

/// Makes the node of before the current one again, even after a panic.
#[derive(Debug)]
pub(crate) struct EnteredNode(Option<(Option<Rc<Node>>, i64)>);

impl EnteredNode {
    /// Makes `node` the current one.
    pub(crate) fn enter(node: &Rc<Node>) -> EnteredNode {
        let before = running::with_running(|tasks| {
            let units = tasks.budget.enter(node.is_cancelled());
            let before = tasks.upkeeps.replace_current(Some(Rc::clone(node)));
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
            let inner = tasks.upkeeps.replace_current(node);
            let frozen = tasks.is_current_cancelled();
            tasks.budget.leave(units, frozen);
            inner
        });
        drop(inner);
    }
}
