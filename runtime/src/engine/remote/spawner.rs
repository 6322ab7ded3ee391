//! [`RemoteSpawner`]: the one task of a loop that spawns the tasks of other threads' requests.
//!
//! It is spawned with the first handle, and lives as long as the loop. A sender puts a
//! request in the spawn queue and wakes the spawner if the queue was empty. This wake passes
//! through the loop's inbox like any other, so the inbox decides whether to ring.
//!
//! The spawner spawns a bounded number of tasks in each poll, and wakes itself while requests
//! are left. So a thread that spawns faster than the loop can run the tasks delays neither
//! the loop's own tasks nor the tasks that wait for descriptors and timers.
//!
//! # Invariants
//!
//! 1. While there are requests in the queue, the spawner is ready or about to be woken: it
//!    has not been polled yet, or its last poll left requests and woke it, or the sender of
//!    the first request wakes it. So the loop does not park while there are requests.
//! 2. The queue is closed by the spawner's destructor, at the shutdown of the loop. The
//!    requests in it are dropped then; a request that comes later is dropped by its sender.

use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawn_queue::SpawnRequest;
use crate::engine::task::spawn_options::SpawnOptions;

/// The maximum number of requests that one poll spawns. A task that is woken after such a poll
/// waits until this number of other tasks has run.
const MAX_PER_POLL: usize = 32;

/// While other tasks are ready, one request is spawned per this number of polls of tasks, which
/// is tokio's default. Otherwise each woken local task would wait for tasks of other threads.
const POLLS_PER_REQUEST: u64 = 31;

/// Returns the part of a loop that other threads share. The first call spawns the spawner.
pub(crate) fn shared_of(event_loop: &EventLoop) -> &Arc<Shared> {
    let shared = &event_loop.shared;
    if !event_loop.has_spawner.replace(true) {
        let spawner = RemoteSpawner::new(Arc::clone(shared));
        let handle = event_loop.spawn(spawner, SpawnOptions::at(Location::caller()));
        event_loop.tasks.hide(&handle);
    }
    shared
}

/// The future of the spawner, which is never ready.
pub(super) struct RemoteSpawner {
    shared: Arc<Shared>,
    /// Empty between polls; kept for its memory.
    taken: Vec<Box<dyn SpawnRequest>>,
    /// The number of polls of tasks that the loop had counted when requests were last spawned;
    /// `None` before the first request.
    polls_before: Option<u64>,
}

impl RemoteSpawner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            taken: Vec::new(),
            polls_before: None,
        }
    }

    /// Returns how many requests may be spawned in this poll.
    fn allowance(&self, event_loop: &EventLoop) -> usize {
        if !event_loop.tasks.has_ready() {
            return MAX_PER_POLL;
        }
        let polls = event_loop.tasks.polls();
        let share = match self.polls_before {
            Some(polls_before) => (polls - polls_before) / POLLS_PER_REQUEST,
            // The first request does not wait.
            None => (polls / POLLS_PER_REQUEST).max(1),
        };
        usize::try_from(share).map_or(MAX_PER_POLL, |share| share.min(MAX_PER_POLL))
    }
}

impl Future for RemoteSpawner {
    type Output = ();

    /// Spawns some requests. A sender that finds the queue empty afterwards wakes the spawner.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let spawner = &mut *self;
        context::with_running(|event_loop| {
            let max = spawner.allowance(event_loop);
            // If `max` is zero, there may be requests.
            let mut is_left = true;
            if max > 0 {
                let spawn_queue = &spawner.shared.spawn_queue;
                is_left = spawn_queue.collect(max, &mut spawner.taken, cx);
            }
            if !spawner.taken.is_empty() {
                spawner.polls_before = Some(event_loop.tasks.polls());
            }
            for request in spawner.taken.drain(..) {
                request.spawn(event_loop);
            }
            if is_left {
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
