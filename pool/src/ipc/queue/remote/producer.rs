//! [`Producer`], the credits of this thread in a queue elsewhere.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use coreloop_sync::Semaphore;

use crate::ipc::broker::protocol::Status;
use crate::ipc::broker::{Link, Pending};
use crate::ipc::queue::payload::Memory;
use crate::ipc::queue::state::words::Credits;

/// How many units of [`UNIT`] bytes of items may wait for room, of the tasks of this thread.
const UNITS: usize = 1 << 10;

const UNIT: usize = 16 << 10;

/// The producer of this thread in one queue.
pub(crate) struct Producer {
    source: Source,
    /// How many puts of this thread wait for their answers. An item that is sent with a credit
    /// meanwhile would overtake them.
    waiting: Cell<usize>,
    /// Limits the bytes of the puts that wait.
    gate: Semaphore,
    is_gone: Cell<bool>,
}

/// Where the credits of a producer come from.
pub(super) enum Source {
    /// The memory that is shared with the queue. The request is open for as long as the queue grants
    /// credits.
    Queue(Pending, Credits<Memory>),
    /// The system has no memory that could be shared, so that each item takes a request.
    Nowhere(Link),
}

impl Producer {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            waiting: Cell::new(0),
            gate: Semaphore::new(UNITS),
            is_gone: Cell::new(false),
        }
    }

    /// Takes a credit, with which one item may be sent now.
    pub(crate) fn take_credit(&self) -> bool {
        match &self.source {
            Source::Queue(_, credits) => self.waiting.get() == 0 && credits.take(),
            Source::Nowhere(_) => false,
        }
    }

    /// Counts a put that waits, until the value is dropped.
    pub(crate) fn wait(self: &Rc<Self>) -> WaitingPut {
        self.waiting.set(self.waiting.get() + 1);
        WaitingPut(Rc::clone(self))
    }

    /// Waits until an item of this length may be sent.
    pub(crate) async fn pass(&self, length: usize) -> Option<coreloop_sync::SemaphorePermit<'_>> {
        let units = (length / UNIT + 1).min(UNITS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        // It is never closed.
        self.gate.acquire_many(units).await.ok()
    }

    /// Returns whether the queue or the connection does not exist any more.
    pub(super) fn is_gone(&self) -> bool {
        let is_gone = match &self.source {
            // A queue that could not map the memory grants no credits, and still exists.
            Source::Queue(pending, _) => match pending.take_read() {
                Some(Ok(answer)) => answer.status != Status::UNAVAILABLE,
                Some(Err(_)) => true,
                None => false,
            },
            Source::Nowhere(link) => link.known_failure().is_some(),
        };
        self.is_gone.set(self.is_gone.get() || is_gone);
        self.is_gone.get()
    }
}

/// A put that waits for its answer.
#[derive(Debug)]
pub(crate) struct WaitingPut(Rc<Producer>);

impl Drop for WaitingPut {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri)))] // Miri has no files in memory.
mod tests {
    use coreloop_runtime::block_on;

    use super::*;
    use crate::ipc::broker::protocol::Operation;
    use crate::ipc::broker::server;
    use crate::ipc::queue::object::Object;
    use crate::ipc::queue::state::Limits;
    use crate::ipc::queue::state::words::CREDIT_WORDS;

    #[test]
    fn a_producer_whose_memory_the_queue_cannot_map_remains() {
        block_on(async {
            let object = Object::new(Limits {
                capacity: 1,
                prefetch: 1,
                prefetch_bytes: 1,
                credits: 1,
                waiting_bytes: 1,
            });
            let handle = server::create(Box::new(object)).unwrap();
            let link = handle.link().unwrap();
            let (_, other) = Memory::create(CREDIT_WORDS + 1).unwrap();
            let (memory, _) = Memory::create(CREDIT_WORDS).unwrap();
            let pending = link.request(Operation::PRODUCE, handle.number(), &[], vec![other]);
            let credits = Credits::new(memory).unwrap();
            let producer = Producer::new(Source::Queue(pending.unwrap(), credits));
            for _ in 0..2 {
                assert!(!producer.is_gone() && !producer.take_credit());
            }
        });
    }
}
