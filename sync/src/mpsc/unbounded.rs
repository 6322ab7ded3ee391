//! A channel that always has room.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::channel::{Receiving, ReceivingMany};
use super::error::{SendError, TryRecvError};
use super::halves::{ReceiveHalf, SendHalf, WeakHalf, halves};

/// Makes a channel that holds as many values as are sent.
///
/// Nothing slows a sender down that is faster than the receiver, so the memory
/// it takes has no bound. Where that may happen, use
/// [`channel`](super::channel).
///
/// # Examples
///
/// ```
/// use coreloop::sync::mpsc;
///
/// coreloop::block_on(async {
///     let (sender, mut receiver) = mpsc::unbounded_channel();
///     sender.send("hello").unwrap();
///     assert_eq!(receiver.recv().await, Some("hello"));
/// });
/// ```
#[must_use]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sending, receiving) = halves(usize::MAX);
    (
        UnboundedSender { half: sending },
        UnboundedReceiver { half: receiving },
    )
}

/// Sends into an unbounded channel, which [`unbounded_channel`] makes.
///
/// Its clones send into the same channel.
pub struct UnboundedSender<T> {
    half: SendHalf<T>,
}

impl<T> UnboundedSender<T> {
    /// Sends a value, which need not wait, as there is always room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the receiver is closed or gone.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.half.try_reserve(1) {
            Ok(()) => {
                self.half.put_open(value);
                Ok(())
            }
            Err(_) => Err(SendError(value)),
        }
    }

    /// Waits until the receiver is closed or gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, receiver) = mpsc::unbounded_channel::<u8>();
    ///     coreloop::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    ///     assert!(sender.is_closed());
    /// });
    /// ```
    pub async fn closed(&self) {
        self.half.closed().await;
    }

    /// Whether the receiver is closed or gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.half.is_closed()
    }

    /// Whether both send into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.half.is_same(&other.half)
    }

    /// A handle that the receiver does not wait for.
    #[must_use = "this makes a weak sender and leaves the sender as it is"]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender {
            half: self.half.downgrade(),
        }
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.half.senders.get()
    }

    /// How many weak senders there are.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.half.weak_senders.get()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UnboundedSender")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A sender that does not keep the channel open.
///
/// When all [`UnboundedSender`]s are gone the receiver sees the end, whatever
/// weak ones there are.
///
/// # Examples
///
/// ```
/// use coreloop::sync::mpsc;
///
/// let (sender, _receiver) = mpsc::unbounded_channel();
/// let weak = sender.downgrade();
/// weak.upgrade().unwrap().send(1).unwrap();
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakUnboundedSender<T> {
    half: WeakHalf<T>,
}

impl<T> WeakUnboundedSender<T> {
    /// A sender, unless all are gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.half.upgrade().map(|half| UnboundedSender { half })
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.half.senders.get()
    }

    /// How many weak senders there are.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.half.weak_senders.get()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WeakUnboundedSender")
            .finish_non_exhaustive()
    }
}

/// Receives from an unbounded channel, which [`unbounded_channel`] makes.
///
/// It is also a [`Stream`] of what it receives.
pub struct UnboundedReceiver<T> {
    half: ReceiveHalf<T>,
}

impl<T> UnboundedReceiver<T> {
    /// Receives the next value, and waits for it if there is none.
    ///
    /// `None` means that no value will come any more: the channel is empty, and
    /// either it was [closed](Self::close) or all senders are gone.
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
    ///     let (sender, mut receiver) = mpsc::unbounded_channel();
    ///     sender.send("hello").unwrap();
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
    ///     let (sender, mut receiver) = mpsc::unbounded_channel();
    ///     for number in 0..5 {
    ///         sender.send(number).unwrap();
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

impl<T> Stream for UnboundedReceiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_recv(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), None)
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UnboundedReceiver")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
