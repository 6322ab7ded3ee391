//! A sleep that can be sent to other threads, although the timers of a loop cannot.
//!
//! hyper requires sleeps to be `Send` and `Sync`, but sends none to another thread: a sleep
//! is part of a connection, or of the task that cleans up hyper-util's pool, and only the
//! executor moves those. So a sleep checks that it is polled on its own loop, and only
//! its destructor works everywhere.
//!
//! # Invariants
//!
//! 1. A sleep contains nothing that belongs to a thread: it refers to its loop through
//!    the state that other threads share with the loop, and to its timer by a number.
//! 2. The timer is accessed only on its loop. As the sleep holds a reference to the shared
//!    state, its address is not reused, and so cannot be mistaken for another loop's.
//! 3. A timer is removed exactly once, or dropped with its loop.

use std::future::ready;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant as SystemInstant;

use ::hyper::rt;

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::core::sleep::State;
use crate::engine::id::Id;
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawner;
use crate::engine::timers::instant::Instant;
use crate::time;

/// A sleep for hyper, created by [`LoopTimer`](super::LoopTimer).
///
/// It is a timer of the loop on which it was created. It is `Send` and `Sync`, because
/// hyper requires that, so it may be moved to another thread and dropped there.
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
///
/// # Panics
///
/// Panics if it is polled outside its loop: on another thread, or in a task of another
/// runtime. After its runtime was dropped it is pending forever.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    /// Identifies the loop.
    shared: Arc<Shared>,
    /// In nanoseconds on the clock of the loop.
    deadline: u64,
    state: State,
}

impl Sleep {
    pub(super) fn new(sleep: time::Sleep) -> Self {
        let mut this = Self {
            shared: Arc::clone(spawner::shared_of(&sleep.event_loop)),
            deadline: sleep.deadline,
            state: State::New,
        };
        this.detach(sleep);
        this
    }

    /// Changes the deadline, even if the old one has passed. A task that waits for the
    /// sleep is woken at the new deadline instead of the old one.
    ///
    /// Returns `false`, and changes nothing, outside the loop of the sleep.
    pub(super) fn reset(&mut self, deadline: SystemInstant) -> bool {
        let Some(event_loop) = self.own_loop() else {
            return false;
        };
        let mut sleep = self.attach(event_loop);
        Pin::new(&mut sleep).reset(Instant::from_std(deadline));
        self.detach(sleep);
        true
    }

    /// Returns the loop of this sleep, if it is the current one or runs on this thread.
    #[inline]
    fn own_loop(&self) -> Option<Rc<EventLoop>> {
        let is_own = |event_loop: &Rc<EventLoop>| Arc::ptr_eq(&event_loop.shared, &self.shared);
        let current = context::current().filter(is_own);
        current.or_else(|| context::running_or_current().filter(is_own))
    }

    /// Moves the timer to a sleep of the loop, which removes the timer when it is dropped.
    #[inline]
    fn attach(&mut self, event_loop: Rc<EventLoop>) -> time::Sleep {
        time::Sleep {
            event_loop,
            deadline: self.deadline,
            state: mem::replace(&mut self.state, State::New),
        }
    }

    /// Takes the timer back. It stays set.
    #[inline]
    fn detach(&mut self, mut sleep: time::Sleep) {
        self.deadline = sleep.deadline;
        self.state = mem::replace(&mut sleep.state, State::New);
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(event_loop) = self.own_loop() else {
            // After the end of its loop, nothing can wake the task that waits.
            if self.shared.is_closed() {
                return Poll::Pending;
            }
            polled_elsewhere();
        };
        // If a waker panics, the timer is dropped with `sleep`.
        let mut sleep = self.attach(event_loop);
        let polled = Pin::new(&mut sleep).poll(cx);
        self.detach(sleep);
        polled
    }
}

impl rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !matches!(self.state, State::Waiting(_)) {
            return;
        }
        if let Some(event_loop) = self.own_loop() {
            drop(self.attach(event_loop));
            return;
        }
        // A task on the loop removes the timer. If the loop is gone, so is the timer.
        let (deadline, state) = (self.deadline, self.state);
        let remove = move || {
            if let Some(event_loop) = context::running_or_current() {
                drop(time::Sleep {
                    event_loop,
                    deadline,
                    state,
                });
            }
            ready(())
        };
        drop(self.shared.spawn(Id::fresh(), remove, Location::caller()));
    }
}

#[cold]
fn polled_elsewhere() -> ! {
    panic!(
        "a sleep of `LoopTimer` was polled outside its loop: let `LocalExecutor` run the tasks \
         of hyper, and use the timer of another runtime for connections that it runs"
    )
}
