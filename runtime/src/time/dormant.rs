//! A sleep that can be sent, because it cannot be polled.

use std::mem;
use std::rc::Rc;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::timers::sleep::{Sleep, State};

/// What is left of a [`Sleep`] without its loop: plain data.
///
/// **Invariant:** the timer that it names is nobody else's, and stays set until
/// [`awake`](Dormant::awake) is called with the loop that the sleep was on, and
/// the sleep dropped. A `Dormant` that is dropped leaves its timer behind.
#[derive(Debug)]
pub(crate) struct Dormant {
    deadline: u64,
    state: State,
}

impl Dormant {
    /// Takes a sleep off its loop. Its timer runs on.
    #[inline]
    pub(crate) fn of(mut sleep: Sleep) -> Dormant {
        Dormant {
            deadline: sleep.deadline,
            // What is dropped has no timer.
            state: mem::replace(&mut sleep.state, State::Elapsed),
        }
    }

    /// Whether it names a timer, which somebody has to remove.
    pub(crate) fn has_timer(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// The sleep again. `event_loop` is the one that it was taken off.
    #[inline]
    pub(crate) fn awake(self, event_loop: Rc<EventLoop>) -> Sleep {
        Sleep {
            event_loop,
            deadline: self.deadline,
            state: self.state,
        }
    }
}
