//! [`SpawnQueue`]: the tasks that other threads have asked the loop to spawn.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Mutex;
use std::task::{Context, Waker};

use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::outcome::lock;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::{nesting, panics};

/// The room for requests that an empty box keeps.
const KEPT_ROOM: usize = 256;

/// A task that is yet to be made, on the way to its loop.
pub(crate) trait SpawnRequest: Send {
    /// Makes the task. Runs no code of the user's.
    fn spawn(self: Box<Self>, event_loop: &EventLoop);

    /// What is known of the task.
    fn meta(&self) -> TaskMeta;
}

/// Where requests wait for the spawner.
pub(crate) struct SpawnQueue {
    contents: Mutex<Contents>,
}

struct Contents {
    requests: VecDeque<Box<dyn SpawnRequest>>,
    spawner: Option<Waker>,
    closed: bool,
}

impl SpawnQueue {
    pub(crate) fn new() -> SpawnQueue {
        SpawnQueue {
            contents: Mutex::new(Contents {
                requests: VecDeque::new(),
                spawner: None,
                closed: false,
            }),
        }
    }

    /// Leaves a request, or drops it if the loop is gone.
    pub(crate) fn send(&self, request: Box<dyn SpawnRequest>) {
        let spawner = {
            let mut contents = lock(&self.contents);
            if contents.closed {
                drop(contents);
                nesting::drop_nested(request);
                return;
            }
            let was_empty = contents.requests.is_empty();
            contents.requests.push_back(request);
            // The waker is that of a task of ours, so cloning it calls nobody.
            contents.spawner.as_ref().filter(|_| was_empty).cloned()
        };
        if let Some(spawner) = spawner {
            spawner.wake();
        }
    }

    /// Wakes the spawner.
    pub(crate) fn wake(&self) {
        let spawner = lock(&self.contents).spawner.clone();
        if let Some(spawner) = spawner {
            spawner.wake();
        }
    }

    /// Moves up to `most` requests to `taken`, and keeps the waker. Returns whether requests
    /// are left.
    pub(crate) fn collect(
        &self,
        most: usize,
        taken: &mut Vec<Box<dyn SpawnRequest>>,
        cx: &Context<'_>,
    ) -> bool {
        let mut contents = lock(&self.contents);
        // A task has one and the same waker for life.
        if contents.spawner.is_none() {
            contents.spawner = Some(cx.waker().clone());
        }
        let requests = &mut contents.requests;
        taken.extend(requests.drain(..most.min(requests.len())));
        if requests.is_empty() {
            requests.shrink_to(KEPT_ROOM);
        }
        !requests.is_empty()
    }

    /// Drops the requests. Returns what is known of their tasks.
    pub(crate) fn discard(&self) -> Vec<TaskMeta> {
        let requests = mem::take(&mut lock(&self.contents).requests);
        let discard = |request: Box<dyn SpawnRequest>| {
            let meta = request.meta();
            panics::caught(|| drop(request));
            meta
        };
        requests.into_iter().map(discard).collect()
    }

    pub(crate) fn close(&self) {
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
