//! [`QueueBuilder`], the options of a queue.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use super::Queue;
use super::object::Object;
use super::raw::Raw;
use super::state::Limits;
use super::state::words::SLOTS;
use crate::ipc::broker::server;

/// The default of how many items a consumer gets before it asks.
const PREFETCH: usize = 64;

/// How many bytes the items have at most that a consumer gets before it asks. What a consumer has not
/// asked for must fit in its socket, because the broker reads no requests from a client that does not
/// read.
const PREFETCH_BYTES: usize = 64 << 10;

/// How many credits a producer has at most.
const CREDITS: u64 = 64;

/// How many bytes of one thread may wait for room. The thread keeps more back by itself, and what it
/// sends nevertheless is refused.
const WAITING_BYTES: usize = 256 << 20;

/// The maximum length of an item.
const MAX_MESSAGE: usize = 64 << 20;

/// Creates a [`Queue`] with options. [`Queue::builder`] returns it.
pub struct QueueBuilder<T> {
    capacity: usize,
    prefetch: usize,
    max_message: usize,
    items: PhantomData<fn(T) -> T>,
}

impl<T> QueueBuilder<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            prefetch: PREFETCH,
            max_message: MAX_MESSAGE,
            items: PhantomData,
        }
    }

    /// Sets how many items a consumer in another process is sent before it asks for them. The
    /// default is 64, and the maximum 256; large items, and items with descriptors, are not sent before
    /// they are asked for.
    ///
    /// If another consumer waits for an item, the queue takes back one that a busy consumer was
    /// sent and has not begun with. So no consumer waits while another one has unused items. But
    /// with several consumers, an item may be received after others that were sent later. With 0,
    /// items are received in the order in which they were sent, and each takes a request and an
    /// answer.
    #[must_use]
    pub fn prefetch(mut self, items: usize) -> Self {
        self.prefetch = items.min(SLOTS / 2);
        self
    }

    /// Sets the maximum length of an encoded item, in bytes. The default, which is also the
    /// maximum, is 64 MiB.
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes.min(MAX_MESSAGE);
        self
    }

    /// Creates the queue, on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, if the capacity is 0, or if the system has
    /// no descriptor left for a socket.
    pub fn build(self) -> io::Result<Queue<T>> {
        let Self {
            capacity,
            prefetch,
            max_message,
            ..
        } = self;
        if capacity == 0 {
            let text = "a queue needs a capacity of at least 1";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let object = Object::new(Limits {
            capacity,
            prefetch,
            prefetch_bytes: PREFETCH_BYTES,
            credits: CREDITS,
            waiting_bytes: WAITING_BYTES,
        });
        // A producer that waits for room gets it soon after a consumer has made some.
        let batch = (prefetch / 2).min(capacity / 4).max(1);
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        let handle = server::create(Box::new(object))?;
        Ok(Queue::new_raw(Raw::new(
            handle,
            capacity,
            max_message,
            batch,
        )))
    }
}

impl<T> fmt::Debug for QueueBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("capacity", &self.capacity)
            .field("prefetch", &self.prefetch)
            .field("max_message", &self.max_message)
            .finish_non_exhaustive()
    }
}
