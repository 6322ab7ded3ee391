//! [`SpawnQueue`]: the spawn requests of other threads, until the loop's spawner takes them.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::outcome::lock;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::{nesting, panics};

/// The capacity that an empty queue keeps.
const KEPT_CAPACITY: usize = 256;

/// A future on its way from another thread to the loop that will run it.
pub(super) trait SpawnRequest: Send {
    /// Spawns the task. Runs no user code.
    fn spawn(self: Box<Self>, event_loop: &EventLoop);

    /// Returns the metadata of the task.
    fn meta(&self) -> TaskMeta;
}

/// The requests that wait for the spawner.
pub(super) struct SpawnQueue {
    contents: Mutex<Contents>,
}

struct Contents {
    requests: VecDeque<Box<dyn SpawnRequest>>,
    /// The waker of the spawner, which is present after its first poll.
    spawner: Option<Waker>,
    closed: bool,
}

impl SpawnQueue {
    pub(super) fn new() -> Self {
        Self {
            contents: Mutex::new(Contents {
                requests: VecDeque::new(),
                spawner: None,
                closed: false,
            }),
        }
    }

    /// Adds a request, and wakes the spawner if the queue was empty. Drops the request if the
    /// queue is closed.
    pub(super) fn send(&self, request: Box<dyn SpawnRequest>) {
        let spawner = {
            let mut contents = lock(&self.contents);
            if contents.closed {
                drop(contents);
                nesting::drop_nested(request);
                return;
            }
            let was_empty = contents.requests.is_empty();
            contents.requests.push_back(request);
            // It is the waker of one of the loop's tasks, so cloning it runs no user code.
            contents.spawner.as_ref().filter(|_| was_empty).cloned()
        };
        if let Some(spawner) = spawner {
            spawner.wake();
        }
    }

    /// Wakes the spawner.
    pub(super) fn wake(&self) {
        let spawner = lock(&self.contents).spawner.clone();
        if let Some(spawner) = spawner {
            spawner.wake();
        }
    }

    /// Moves up to `max` requests to `taken`, and keeps the waker of `cx`. Returns whether
    /// requests are left.
    pub(super) fn collect(
        &self,
        max: usize,
        taken: &mut Vec<Box<dyn SpawnRequest>>,
        cx: &Context<'_>,
    ) -> bool {
        let mut contents = lock(&self.contents);
        // All wakers of a task wake the same task.
        if contents.spawner.is_none() {
            contents.spawner = Some(cx.waker().clone());
        }
        let requests = &mut contents.requests;
        taken.extend(requests.drain(..max.min(requests.len())));
        if requests.is_empty() {
            requests.shrink_to(KEPT_CAPACITY);
        }
        !requests.is_empty()
    }

    /// Drops the requests. Returns the metadata of their tasks.
    pub(super) fn discard(&self) -> Vec<TaskMeta> {
        let requests = mem::take(&mut lock(&self.contents).requests);
        let discard = |request: Box<dyn SpawnRequest>| {
            let meta = request.meta();
            panics::caught(|| drop(request));
            meta
        };
        requests.into_iter().map(discard).collect()
    }

    #[cfg(feature = "hyper")]
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.contents).closed
    }

    /// Drops the requests, and those that are sent from now on.
    pub(super) fn close(&self) {
        let spawner = {
            let mut contents = lock(&self.contents);
            contents.closed = true;
            contents.spawner.take()
        };
        drop(spawner);
        drop(self.discard());
    }
}

impl fmt::Debug for SpawnQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnQueue").finish_non_exhaustive()
    }
}
