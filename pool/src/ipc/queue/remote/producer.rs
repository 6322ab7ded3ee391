//! [`Producer`], the credits of this thread in a queue elsewhere.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use coreloop_sync::Semaphore;

use crate::ipc::broker::Pending;
use crate::ipc::queue::payload::Memory;
use crate::ipc::queue::state::words::Credits;

/// How many units of [`UNIT`] bytes of items may wait for room, of the tasks of this thread.
const UNITS: usize = 1 << 10;

const UNIT: usize = 16 << 10;

/// The producer of this thread in one queue.
pub(crate) struct Producer {
    /// Open for as long as the queue grants credits.
    pending: Pending,
    credits: Credits<Memory>,
    /// How many puts of this thread wait for their answers. An item that is sent with a credit
    /// meanwhile would overtake them.
    waiting: Cell<usize>,
    /// Limits the bytes of the puts that wait.
    gate: Semaphore,
    is_gone: Cell<bool>,
}

impl Producer {
    pub(super) fn new(pending: Pending, credits: Credits<Memory>) -> Self {
        Self {
            pending,
            credits,
            waiting: Cell::new(0),
            gate: Semaphore::new(UNITS),
            is_gone: Cell::new(false),
        }
    }

    /// Takes a credit, with which one item may be sent now.
    pub(crate) fn take_credit(&self) -> bool {
        self.waiting.get() == 0 && self.credits.take()
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
        if self.pending.take_read().is_some() {
            self.is_gone.set(true);
        }
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
