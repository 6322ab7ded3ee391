//! The methods of a [`Queue`] that send items.

use std::time::Duration;

use serde::Serialize;

use super::raw::{Encoded, Unwritten};
use super::{Queue, QueueError, SendError};
use crate::ipc::broker::link::deadline;

impl<T: Serialize> Queue<T> {
    /// Sends an item. Waits while the queue is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, the item is in the queue or it is not, as a whole.
    ///
    /// # Errors
    ///
    /// Returns the item and an error if the queue is closed, if the item does not encode or is too
    /// long, or if the process of the queue cannot be reached, also if that happens during the wait.
    pub async fn send(&self, item: T) -> Result<(), SendError<T>> {
        let sent = match self.encoded(&item) {
            Ok(encoded) => self.raw.send(encoded).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| SendError::new(item, error))
    }

    /// Sends the items of an iterator in few messages, and returns how many there were. Waits while
    /// the queue is full.
    ///
    /// This takes an item from the iterator when the item before it was sent. So pass the iterator
    /// by reference (`by_ref`) to keep the items that are left after an error.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, some of the items may be in the queue.
    ///
    /// # Errors
    ///
    /// Returns the first item that was not sent, and an error under the conditions of
    /// [`send`](Queue::send). If the process of the queue has ended, items before it may be lost.
    pub async fn send_all(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<usize, SendError<T>> {
        let mut unwritten = Unwritten::default();
        let mut count = 0;
        // It is not sent while its message is not written.
        let mut last = None;
        for item in items {
            let sent = match self.encoded(&item) {
                Ok(encoded) => self.raw.send_in_batch(encoded, &mut unwritten).await,
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                // Those before it are sent, if that is possible.
                let _ = self.raw.write(&mut unwritten).await;
                return Err(SendError::new(item, error));
            }
            count += 1;
            last = Some(item);
        }
        match (self.raw.write(&mut unwritten).await, last) {
            (Err(error), Some(last)) => Err(SendError::new(last, error)),
            _ => Ok(count),
        }
    }

    /// Sends an item, and waits for `limit` at most while the queue is full.
    ///
    /// When the limit has passed, this asks the process of the queue whether it has accepted the item
    /// meanwhile, and waits for the answer. So it takes longer than the limit if that process does
    /// not answer at once, or if the message with the item is not written yet.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`send`](Queue::send).
    ///
    /// # Errors
    ///
    /// Returns the item and an error if [`send`](Queue::send) would, or
    /// [if the time has passed](QueueError::is_timeout). Then the item is not in the queue.
    pub async fn send_timeout(&self, item: T, limit: Duration) -> Result<(), SendError<T>> {
        let sent = match self.encoded(&item) {
            Ok(encoded) => self.raw.send_timeout(encoded, limit).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| SendError::new(item, error))
    }

    /// Sends an item if the queue has room. In other processes this may wait for the answer to
    /// this question.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`send`](Queue::send).
    ///
    /// # Errors
    ///
    /// Returns the item and an error if [`send`](Queue::send) would, or
    /// [if the queue is full](QueueError::is_full).
    pub async fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        let sent = match self.encoded(&item) {
            Ok(encoded) => self.raw.try_send(encoded).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| SendError::new(item, error))
    }

    /// Does the same as [`send`](Queue::send), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns the item and an error if [`send`](Queue::send) would. On the thread of the loop that
    /// carries the queue, [returns an error](QueueError::is_deadlock) instead of waiting.
    pub fn blocking_send(&self, item: T) -> Result<(), SendError<T>> {
        let sent = self.encoded(&item);
        let sent = sent.and_then(|encoded| self.raw.blocking_send(encoded, None));
        sent.map_err(|error| SendError::new(item, error))
    }

    /// Does the same as [`send_timeout`](Queue::send_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns the item and an error if [`send_timeout`](Queue::send_timeout) or
    /// [`blocking_send`](Queue::blocking_send) would.
    pub fn blocking_send_timeout(&self, item: T, limit: Duration) -> Result<(), SendError<T>> {
        let sent = self.encoded(&item);
        let sent = sent.and_then(|encoded| self.raw.blocking_send(encoded, deadline(limit)));
        sent.map_err(|error| SendError::new(item, error))
    }

    /// Does the same as [`try_send`](Queue::try_send), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns the item and an error if [`try_send`](Queue::try_send) would.
    pub fn blocking_try_send(&self, item: T) -> Result<(), SendError<T>> {
        let sent = self.encoded(&item);
        let sent = sent.and_then(|encoded| self.raw.blocking_try_send(encoded));
        sent.map_err(|error| SendError::new(item, error))
    }

    fn encoded(&self, item: &T) -> Result<Encoded, QueueError> {
        Encoded::new(item, self.raw.max_message())
    }
}
