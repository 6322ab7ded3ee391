//! Waiting for a time.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Instant;
use super::wheel::Key;
use crate::context;
use crate::event_loop::EventLoop;
use crate::task::coop;

/// Waits for `duration`.
///
/// The time counts from this call, not from the first poll. It is never over
/// early. A duration that the clock does not reach waits for ever.
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop_runtime::time::sleep;
/// use std::time::Duration;
///
/// # coreloop_runtime::block_on(async {
/// sleep(Duration::from_micros(100)).await;
/// # })
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    match context::with_current(Rc::clone) {
        Some(event_loop) => Sleep::on(event_loop, duration),
        None => context::missing("sleep"),
    }
}

/// Waits until `deadline`.
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop_runtime::time::{Instant, sleep_until};
/// use std::time::Duration;
///
/// # coreloop_runtime::block_on(async {
/// let deadline = Instant::now() + Duration::from_millis(1);
/// sleep_until(deadline).await;
/// assert!(Instant::now() >= deadline);
/// # })
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    match context::with_current(Rc::clone) {
        Some(event_loop) => Sleep {
            event_loop,
            deadline,
            state: State::New,
        },
        None => context::missing("sleep"),
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It goes by the clock of the runtime that it was made in, and can be moved
/// between polls.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    event_loop: Rc<EventLoop>,
    deadline: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    New,
    Waiting(Key),
    Elapsed,
}

impl Sleep {
    /// A sleep on a certain loop.
    pub(crate) fn on(event_loop: Rc<EventLoop>, duration: Duration) -> Sleep {
        let now = event_loop.timers.now();
        Sleep {
            event_loop,
            deadline: now
                .checked_add(duration)
                .unwrap_or_else(|| now.far_future()),
            state: State::New,
        }
    }

    /// When it is over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        matches!(self.state, State::Elapsed) || self.event_loop.timers.now() >= self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(context));
        match self.state {
            State::Elapsed => return Poll::Ready(()),
            State::Waiting(key) => {
                ready!(self.event_loop.timers.poll(key, context));
                self.event_loop.timers.remove(key);
            }
            State::New => {
                if self.event_loop.timers.now() < self.deadline {
                    let key = self.event_loop.set_timer(self.deadline, context);
                    self.state = State::Waiting(key);
                    return Poll::Pending;
                }
            }
        }
        self.state = State::Elapsed;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Waiting(key) = self.state {
            self.event_loop.timers.remove(key);
        }
    }
}
