//! [`Queue`]: items from many processes for many processes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`state`] | every decision about items, without I/O or a clock |
//! | [`object`], [`payload`] | the queue as an object of a broker |
//! | [`message`] | the bodies of the messages between both sides |
//! | [`remote`] | what a thread keeps of a queue that is in another process or thread |
//! | [`raw`], [`taken`] | the operations, on encoded items |

mod builder;
mod error;
mod lease;
mod message;
mod object;
mod payload;
mod raw;
mod receive;
mod remote;
mod send;
mod state;
mod taken;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(miri)))] // Miri has no files in memory.
mod tests;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use builder::QueueBuilder;
pub use error::{QueueError, SendError};
pub use lease::Lease;

use super::broker::link::deadline;
use raw::{Raw, limited};

/// A queue that any number of processes put items in and take items out of.
///
/// This is Python's `multiprocessing.JoinableQueue`. The queue is in the process that has created
/// it, on the loop on which it was created, and has a limited capacity. Each item is received by one
/// consumer.
///
/// # Handles
///
/// A `Queue` is a handle: it can be cloned, sent to other threads, and encoded with any serializer,
/// as an argument of a job for instance. The queue lives as long as the handle that
/// [`new`](Queue::new) has returned, or a clone of it in the same process. When the last of them is
/// dropped, all operations of other processes return [an error](QueueError::is_closed).
///
/// # Sending
///
/// [`send`](Queue::send) waits while the queue is full, which means that it has as many items as its
/// capacity that no consumer has confirmed. It returns when the queue has the item, or when the
/// kernel has the message with it and the queue has kept room for it. So an item is not lost if its
/// producer is killed after `send` has returned. If a producer is killed during `send`, the queue
/// gets the whole item or nothing of it.
///
/// # Receiving
///
/// - [`recv`](Queue::recv) confirms an item when it returns it: **at most once**. A consumer that is
///   killed afterwards takes the item with it.
/// - [`lease`](Queue::lease) returns a [`Lease`], by which the item is confirmed later: **at least
///   once**. The item of a consumer that is killed goes back to the front of the queue.
///
/// A future that is dropped before it has returned an item loses none.
///
/// # Order
///
/// The items of one producer are received in the order in which it has sent them, if there is one
/// consumer and no item goes back. See [`prefetch`](QueueBuilder::prefetch) for several consumers.
///
/// # The end
///
/// After [`close`](Queue::close), `send` returns an error with the item, and consumers receive the
/// items that are left. They receive `None` only when every item is confirmed, because an item that
/// another consumer has leased may still come back. So confirm an item before you ask for the next
/// one: a task that asks while it holds the last lease waits for ever.
///
/// # Errors
///
/// An item that does not decode is an error of that call, and is confirmed. So is an item whose
/// descriptors were lost because a process had no room for them.
///
/// # Blocking
///
/// Methods with `blocking` in their names need no runtime, and block the thread. They are for jobs
/// that are not async. On the thread of the loop that carries the queue they return
/// [an error](QueueError::is_deadlock) instead of waiting for ever.
///
/// # Examples
///
/// ```no_run
/// use coreloop::ipc::Queue;
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// async fn add(numbers: Queue<u64>) -> u64 {
///     let mut sum = 0;
///     while let Ok(Some(number)) = numbers.recv().await {
///         sum += number;
///     }
///     sum
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().workers(2).build()?;
///     let numbers = Queue::new(100)?;
///     let one = pool.submit(add, numbers.clone()).await?;
///     let other = pool.submit(add, numbers.clone()).await?;
///     for number in 0..1000 {
///         numbers.send(number).await?;
///     }
///     numbers.close().await?;
///     assert_eq!(one.await? + other.await?, 499_500);
///     Ok(())
/// }
/// ```
pub struct Queue<T> {
    raw: Raw,
    items: PhantomData<fn(T) -> T>,
}

impl<T> Queue<T> {
    /// Creates a queue for at most this number of items, on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime, if the capacity is 0, or if the system has
    /// no descriptor left for a socket.
    pub fn new(capacity: usize) -> io::Result<Self> {
        Self::builder(capacity).build()
    }

    /// Returns a builder, for a queue with other options.
    #[must_use]
    pub fn builder(capacity: usize) -> QueueBuilder<T> {
        QueueBuilder::new(capacity)
    }

    fn new_raw(raw: Raw) -> Self {
        Self {
            raw,
            items: PhantomData,
        }
    }

    /// Returns the maximum number of items that are not confirmed.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.raw.capacity()
    }

    /// Returns how many items no consumer has begun with.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the owner of the queue has dropped it, or its process cannot be reached.
    pub async fn len(&self) -> Result<usize, QueueError> {
        Ok(self.raw.lengths().await?.0)
    }

    /// Returns whether there is no item that no consumer has begun with.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`len`](Queue::len) would.
    pub async fn is_empty(&self) -> Result<bool, QueueError> {
        Ok(self.len().await? == 0)
    }

    /// Returns how many items are not confirmed: those that wait, and those that consumers have
    /// leased.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`len`](Queue::len) would.
    pub async fn unconfirmed(&self) -> Result<usize, QueueError> {
        Ok(self.raw.lengths().await?.1)
    }

    /// Does the same as [`len`](Queue::len), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`len`](Queue::len) would.
    pub fn blocking_len(&self) -> Result<usize, QueueError> {
        Ok(self.raw.blocking_lengths()?.0)
    }

    /// Closes the queue, for all processes: it accepts no more items, and consumers receive `None`
    /// when all items are confirmed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the queue may be closed or not.
    ///
    /// # Errors
    ///
    /// Returns an error if the owner of the queue has dropped it, or its process cannot be reached.
    pub async fn close(&self) -> Result<(), QueueError> {
        self.raw.close().await
    }

    /// Does the same as [`close`](Queue::close), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`close`](Queue::close) would.
    pub fn blocking_close(&self) -> Result<(), QueueError> {
        self.raw.blocking_close()
    }

    /// Waits until every item that was sent is confirmed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the owner of the queue has dropped it, or its process cannot be reached,
    /// also if that happens during the wait.
    pub async fn join(&self) -> Result<(), QueueError> {
        self.raw.join().await
    }

    /// Waits until every item that was sent is confirmed, for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if [`join`](Queue::join) would, or
    /// [if the time has passed](QueueError::is_timeout).
    pub async fn join_timeout(&self, limit: Duration) -> Result<(), QueueError> {
        limited(limit, self.raw.join()).await
    }

    /// Does the same as [`join`](Queue::join), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`join`](Queue::join) would.
    pub fn blocking_join(&self) -> Result<(), QueueError> {
        self.raw.blocking_join(None)
    }

    /// Does the same as [`join_timeout`](Queue::join_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`join_timeout`](Queue::join_timeout) would.
    pub fn blocking_join_timeout(&self, limit: Duration) -> Result<(), QueueError> {
        self.raw.blocking_join(deadline(limit))
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self::new_raw(self.raw.clone())
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self::new_raw)
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("raw", &self.raw)
            .finish_non_exhaustive()
    }
}
