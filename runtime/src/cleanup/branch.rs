//! [`Branch`]: a place in the tree for as long as a future lives, and the way
//! into it for as long as a poll lasts.

use std::rc::Rc;
use std::task::Context;

use super::node::Node;
use crate::context;

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
        Branch(Node::shield())
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
        self.0.arrive(parent.as_ref(), context);
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.0.depart();
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
