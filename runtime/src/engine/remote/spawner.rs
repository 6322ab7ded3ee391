//! The courier: the one task of a loop that makes the tasks which other threads spawn.
//!
//! It is made with the first handle, and lives as long as the loop. Sending
//! puts a letter in the mailbox and wakes the courier if the box was empty: the
//! wake goes by way of the loop's inbox, so that decides whether to ring.
//!
//! The courier makes a bounded number of tasks each time that it is polled, and is ready
//! again while letters are left. So a thread that spawns faster than the loop can run the
//! tasks delays neither the loop's own tasks nor what waits for descriptors and timers.
//!
//! # Invariants
//!
//! 1. While there are letters in the box, the courier is ready or about to be woken: it
//!    has not been polled yet, or its last poll left letters and woke it, or the sender of
//!    the first letter wakes it. So the loop does not sleep while there are letters.
//! 2. The box is closed by the courier's destructor, at the shutdown of the
//!    loop. What is in it then is dropped; a letter that comes later is dropped
//!    by its sender.

use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::mailbox::Letter;
use crate::engine::remote::shared::Shared;

/// How many letters are opened in one poll, at most. A task that is woken after that waits
/// until as many others have run.
const AT_ONCE: usize = 32;

/// While other tasks are ready, one letter is opened for this number of polls, which is the
/// default of tokio. Otherwise each wake of a local task would wait for tasks of other threads.
const INTERVAL: u64 = 31;

/// What other threads share of a loop, with the courier at work.
pub(crate) fn shared_of(event_loop: &EventLoop) -> &Arc<Shared> {
    let shared = &event_loop.shared;
    if !event_loop.has_courier.replace(true) {
        let courier = Courier::new(Arc::clone(shared));
        let handle = event_loop.spawn(courier, Location::caller(), event_loop.is_running());
        event_loop.tasks.hide(&handle);
    }
    shared
}

/// The future of the courier. It has no end.
pub(crate) struct Courier {
    shared: Arc<Shared>,
    /// Empty, but for its memory.
    taken: Vec<Box<dyn Letter>>,
    /// How many polls of tasks the loop had counted when letters were last opened, if any
    /// were.
    counted: Option<u64>,
}

impl Courier {
    pub(crate) fn new(shared: Arc<Shared>) -> Courier {
        Courier {
            shared,
            taken: Vec::new(),
            counted: None,
        }
    }

    /// How many letters may be opened in this poll.
    fn allowance(&self, event_loop: &EventLoop) -> usize {
        if !event_loop.tasks.has_ready() {
            return AT_ONCE;
        }
        let polls = event_loop.tasks.polls();
        let share = match self.counted {
            Some(counted) => (polls - counted) / INTERVAL,
            // The first letter does not wait.
            None => (polls / INTERVAL).max(1),
        };
        usize::try_from(share).map_or(AT_ONCE, |share| share.min(AT_ONCE))
    }
}

impl Future for Courier {
    type Output = ();

    /// Opens some letters. A sender that finds the box empty afterwards wakes the courier.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let courier = &mut *self;
        context::with_running(|event_loop| {
            let most = courier.allowance(event_loop);
            // If it is zero there may be letters.
            let mut are_left = true;
            if most > 0 {
                let mailbox = &courier.shared.mailbox;
                are_left = mailbox.collect(most, &mut courier.taken, context);
            }
            if !courier.taken.is_empty() {
                courier.counted = Some(event_loop.tasks.polls());
            }
            for letter in courier.taken.drain(..) {
                letter.open(event_loop);
            }
            if are_left {
                context.waker().wake_by_ref();
            }
        });
        Poll::Pending
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.mailbox.close();
    }
}
