//! Requests to cancel a node, from user code.

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

    /// Cancels it at its deadline; or what it is in, if that is due as well,
    /// though nobody has polled that yet.
    pub(crate) fn cancel_due(self: &Rc<Self>, now: Instant) {
        let mut due = Rc::clone(self);
        let mut next = Rc::clone(self);
        while !next.shields
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
