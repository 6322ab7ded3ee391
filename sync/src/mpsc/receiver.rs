//! The receiver of a bounded channel.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::channel::{Receiving, ReceivingMany};
use super::error::TryRecvError;
use super::halves::ReceiveHalf;

/// Receives from a bounded channel, which [`channel`](super::channel) makes.
///
/// It is also a [`Stream`] of what it receives.
pub struct Receiver<T> {
    half: ReceiveHalf<T>,
}

impl<T> Receiver<T> {
    pub(super) fn new(half: ReceiveHalf<T>) -> Self {
        Self { half }
    }

    /// Receives the next value, and waits for it if there is none.
    ///
    /// `None` means that no value will come any more: the channel is empty, and
    /// either all senders are gone, or it was [closed](Self::close) and all
    /// permits are used or dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value leaves the channel only when this returns it.
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
        Receiving::new(&self.half)
    }

    /// Receives as many values as there are, but not more than `limit`, and
    /// waits if there is none; appends them to `buffer`.
    ///
    /// Returns how many. Zero means, as `None` does in [`recv`](Self::recv),
    /// that no value will come any more, unless `limit` is zero.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: values leave the channel only when this returns.
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
        ReceivingMany::new(&self.half, buffer, limit).await
    }

    /// Receives a value if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is none, and
    /// [`TryRecvError::Disconnected`] if none will come any more.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.half.try_receive()
    }

    /// Lets senders send nothing more, and leaves what was sent to be received.
    ///
    /// Those who wait for room fail. Permits stay good: until all are used or
    /// dropped, [`recv`](Self::recv) waits for what they may send.
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

    /// Whether it was closed or all senders are gone. There may still be
    /// something to receive.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.half.is_closed() || !self.half.has_senders()
    }

    /// Whether there is nothing to receive now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values there are to receive now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.half.len()
    }

    /// How many more values there is room for now: neither in the channel nor
    /// held by a permit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.half.slots.free()
    }

    /// How many values the channel holds at most.
    #[must_use]
    pub fn max_capacity(&self) -> usize {
        self.half.bound
    }

    /// How many senders there are.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.half.senders.get()
    }

    /// How many weak senders there are.
    #[must_use]
    pub fn sender_weak_count(&self) -> usize {
        self.half.weak_senders.get()
    }

    /// Does what [`recv`](Self::recv) does, for a future that polls by itself.
    ///
    /// Only the waker of the last call is woken, and it is kept until then, or until the
    /// receiver is dropped. A call may be pending although there is a value: when the task
    /// has spent its budget, which wakes it at once.
    #[inline]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.half.poll_receive(cx)
    }

    /// Does what [`recv_many`](Self::recv_many) does, for a future that polls
    /// by itself.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Receiver")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
