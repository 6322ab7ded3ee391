//! Requests to cancel a node: by a handle, or at its deadline.

use std::rc::Rc;

use crate::engine::cancel::node::CancelNode;
use crate::engine::task::running;
use crate::engine::timers::instant::Instant;

impl CancelNode {
    /// Cancels the node and its descendants, wakes the tasks that poll them, and freezes
    /// the running code if that belongs to one of them.
    pub(crate) fn cancel(&self) {
        self.mark_cancelled();
        running::with_running(|tasks| tasks.cleanup_states.freeze_current(&tasks.budget));
    }

    /// Cancels the node, whose deadline has passed. If the deadline of nodes above it has
    /// passed too, up to the next shield, cancels the topmost of these instead: its owner
    /// was not polled yet.
    pub(crate) fn cancel_due(self: &Rc<Self>, now: Instant) {
        let mut due = Rc::clone(self);
        let mut next = Rc::clone(self);
        while !next.is_shield
            && let Some(parent) = next.parent()
        {
            if parent
                .deadline
                .get()
                .is_some_and(|deadline| deadline <= now)
            {
                due = Rc::clone(&parent);
            }
            next = parent;
        }
        due.cancel();
    }
}
