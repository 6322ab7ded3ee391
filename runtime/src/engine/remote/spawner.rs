//! The spawner: the one task of a loop that makes the tasks which other threads spawn.
//!
//! It is made with the first handle, and lives as long as the loop. Sending
//! puts a request in the spawn_queue and wakes the spawner if the box was empty: the
//! wake goes by way of the loop's inbox, so that decides whether to ring.
//!
//! The spawner makes a bounded number of tasks each time that it is polled, and is ready
//! again while requests are left. So a thread that spawns faster than the loop can run the
//! tasks delays neither the loop's own tasks nor what waits for descriptors and timers.
//!
//! # Invariants
//!
//! 1. While there are requests in the box, the spawner is ready or about to be woken: it
//!    has not been polled yet, or its last poll left requests and woke it, or the sender of
//!    the first request wakes it. So the loop does not sleep while there are requests.
//! 2. The box is closed by the spawner's destructor, at the shutdown of the
//!    loop. What is in it then is dropped; a request that comes later is dropped
//!    by its sender.

use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawn_queue::SpawnRequest;

/// How many requests are opened in one poll, at most. A task that is woken after that waits
/// until as many others have run.
const AT_ONCE: usize = 32;

/// While other tasks are ready, one request is opened for this number of polls, which is the
/// default of tokio. Otherwise each wake of a local task would wait for tasks of other threads.
const INTERVAL: u64 = 31;

/// What other threads share of a loop, with the spawner at work.
pub(crate) fn shared_of(event_loop: &EventLoop) -> &Arc<Shared> {
    let shared = &event_loop.shared;
    if !event_loop.has_spawner.replace(true) {
        let spawner = RemoteSpawner::new(Arc::clone(shared));
        let handle = event_loop.spawn(spawner, Location::caller(), event_loop.is_running());
        event_loop.tasks.hide(&handle);
    }
    shared
}

/// The future of the spawner. It has no end.
pub(crate) struct RemoteSpawner {
    shared: Arc<Shared>,
    /// Empty, but for its memory.
    taken: Vec<Box<dyn SpawnRequest>>,
    /// How many polls of tasks the loop had counted when requests were last opened, if any
    /// were.
    counted: Option<u64>,
}

impl RemoteSpawner {
    pub(crate) fn new(shared: Arc<Shared>) -> RemoteSpawner {
        RemoteSpawner {
            shared,
            taken: Vec::new(),
            counted: None,
        }
    }

    /// How many requests may be opened in this poll.
    fn allowance(&self, event_loop: &EventLoop) -> usize {
        if !event_loop.tasks.has_ready() {
            return AT_ONCE;
        }
        let polls = event_loop.tasks.polls();
        let share = match self.counted {
            Some(counted) => (polls - counted) / INTERVAL,
            // The first request does not wait.
            None => (polls / INTERVAL).max(1),
        };
        usize::try_from(share).map_or(AT_ONCE, |share| share.min(AT_ONCE))
    }
}

impl Future for RemoteSpawner {
    type Output = ();

    /// Opens some requests. A sender that finds the box empty afterwards wakes the spawner.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let spawner = &mut *self;
        context::with_running(|event_loop| {
            let most = spawner.allowance(event_loop);
            // If it is zero there may be requests.
            let mut are_left = true;
            if most > 0 {
                let spawn_queue = &spawner.shared.spawn_queue;
                are_left = spawn_queue.collect(most, &mut spawner.taken, cx);
            }
            if !spawner.taken.is_empty() {
                spawner.counted = Some(event_loop.tasks.polls());
            }
            for request in spawner.taken.drain(..) {
                request.spawn(event_loop);
            }
            if are_left {
                cx.waker().wake_by_ref();
            }
        });
        Poll::Pending
    }
}

impl Drop for RemoteSpawner {
    fn drop(&mut self) {
        self.shared.spawn_queue.close();
    }
}
