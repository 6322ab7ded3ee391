//! The receiver of a bounded channel.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::error::TryRecvError;
use super::halves::ReceiveHalf;
use super::recv::{Recv, RecvMany};

/// The receiving end of a bounded channel, which [`channel`](super::channel) creates.
///
/// It is also a [`Stream`] of the values that it receives.
pub struct Receiver<T> {
    half: ReceiveHalf<T>,
}

impl<T> Receiver<T> {
    pub(super) fn new(half: ReceiveHalf<T>) -> Self {
        Self { half }
    }

    /// Receives the next value, and waits for it if there is none.
    ///
    /// Returns `None` if there will be no value any more: the channel is empty, and
    /// either all senders were dropped, or the receiver was [closed](Self::close)
    /// and all permits were used or dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value leaves the channel only when `recv` returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(8);
    ///     sender.send("hello").await.unwrap();
    ///     drop(sender);
    ///     assert_eq!(receiver.recv().await, Some("hello"));
    ///     assert_eq!(receiver.recv().await, None);
    /// });
    /// ```
    #[inline]
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> + use<'_, T> {
        Recv::new(&self.half)
    }

    /// Receives up to `limit` values, and appends them to `buffer`. Waits if there is
    /// none.
    ///
    /// Returns the number of values. Unless `limit` is zero, zero means the same as
    /// `None` of [`recv`](Self::recv): there will be no value any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: values leave the channel only when `recv_many` returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(8);
    ///     for number in 0..5 {
    ///         sender.send(number).await.unwrap();
    ///     }
    ///     let mut buffer = Vec::new();
    ///     assert_eq!(receiver.recv_many(&mut buffer, 3).await, 3);
    ///     assert_eq!(receiver.recv_many(&mut buffer, 3).await, 2);
    ///     assert_eq!(buffer, [0, 1, 2, 3, 4]);
    /// });
    /// ```
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        RecvMany::new(&self.half, buffer, limit).await
    }

    /// Receives a value if there is one now.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Empty`] if there is none, and
    /// [`TryRecvError::Disconnected`] if there will be none any more.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.half.try_receive()
    }

    /// Closes the channel: sending fails from now on. Values that were sent before can
    /// still be received.
    ///
    /// Senders that wait for room fail. Permits stay valid: until all permits were used
    /// or dropped, [`recv`](Self::recv) waits for the values that they may send.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(8);
    ///     sender.send(1).await.unwrap();
    ///     let permit = sender.reserve().await.unwrap();
    ///     receiver.close();
    ///     assert!(sender.send(2).await.is_err());
    ///     permit.send(3);
    ///     assert_eq!(receiver.recv().await, Some(1));
    ///     assert_eq!(receiver.recv().await, Some(3));
    ///     assert_eq!(receiver.recv().await, None);
    /// });
    /// ```
    pub fn close(&mut self) {
        self.half.close();
    }

    /// Returns whether the receiver was closed, or all senders were dropped. There may
    /// still be values to receive.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.half.has_ended()
    }

    /// Returns whether there is no value to receive now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of values that can be received now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.half.len()
    }

    /// Returns the number of values for which there is room now, without the room that
    /// permits hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.half.capacity.free()
    }

    /// Returns the maximum number of values that the channel holds.
    #[must_use]
    pub fn max_capacity(&self) -> usize {
        self.half.max_capacity
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.half.strong_count()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn sender_weak_count(&self) -> usize {
        self.half.weak_count()
    }

    /// Polls to receive the next value, like [`recv`](Self::recv).
    ///
    /// Only the waker of the last call is woken. It is kept until then, or until the receiver
    /// is dropped. A call may be pending although there is a value, if the task has spent its
    /// budget; the task is then woken at once.
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.half.poll_receive(cx)
    }

    /// Polls to receive several values, like [`recv_many`](Self::recv_many).
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
    ) -> Poll<usize> {
        self.half.poll_receive_many(cx, buffer, limit)
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), None)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
