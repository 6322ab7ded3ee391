//! [`DetachedTimer`]: a sleep that can be sent, because it cannot be polled.

use std::mem;
use std::rc::Rc;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::core::sleep::{Sleep, State};

/// A [`Sleep`] without its loop: plain data that refers to its timer by a number.
///
/// **Invariant:** the timer has no other owner, and stays set until
/// [`attach`](DetachedTimer::attach) is called with the loop of the sleep and the sleep
/// is dropped. Dropping a `DetachedTimer` leaks its timer.
#[derive(Debug)]
pub(crate) struct DetachedTimer {
    deadline: u64,
    state: State,
}

impl DetachedTimer {
    /// Detaches a sleep from its loop. Its timer stays set.
    #[inline]
    pub(crate) fn detach(mut sleep: Sleep) -> Self {
        Self {
            deadline: sleep.deadline,
            // So that dropping `sleep` does not remove the timer.
            state: mem::replace(&mut sleep.state, State::Elapsed),
        }
    }

    /// Returns `true` if a timer is set, which has to be removed.
    pub(crate) fn has_timer(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Converts this back into a sleep. `event_loop` must be the loop of that sleep.
    #[inline]
    pub(crate) fn attach(self, event_loop: Rc<EventLoop>) -> Sleep {
        Sleep {
            event_loop,
            deadline: self.deadline,
            state: self.state,
        }
    }
}
