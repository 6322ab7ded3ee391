//! The senders of a bounded channel.

use std::fmt;
use std::time::Duration;

use coreloop_runtime::time::timeout;

use super::error::{SendError, SendTimeoutError, TrySendError};
use super::halves::{SendHalf, halves};
use super::reserve::{Reserve, ReserveMany, Sending};
use super::{OwnedPermit, Permit, PermitIterator, Receiver, WeakSender};

/// Creates a channel that holds at most `buffer` values.
///
/// Its memory grows as it is used, so a large `buffer` costs nothing while the
/// receiver keeps up.
///
/// # Panics
///
/// Panics if `buffer` is zero.
///
/// # Examples
///
/// ```
/// use coreloop::sync::mpsc;
///
/// coreloop::block_on(async {
///     let (sender, mut receiver) = mpsc::channel(16);
///     coreloop::spawn(async move { sender.send("hello").await });
///     assert_eq!(receiver.recv().await, Some("hello"));
/// });
/// ```
#[must_use]
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        buffer > 0,
        "an mpsc channel needs room for at least one value; to pass values one by one, \
         use `mpsc::channel(1)`"
    );
    let (sending, receiving) = halves(buffer);
    (Sender { half: sending }, Receiver::new(receiving))
}

/// The sending end of a bounded channel, which [`channel`] creates.
///
/// Its clones send into the same channel.
pub struct Sender<T> {
    pub(super) half: SendHalf<T>,
}

impl<T> Sender<T> {
    /// Sends a value, and waits for room if there is none.
    ///
    /// Senders that wait are served in order, and before senders that come later.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the value is dropped with the future. Use
    /// [`reserve`](Self::reserve) if the value must be kept. The place in the
    /// queue is lost too.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`], with the value, if the receiver was closed or dropped.
    #[inline]
    pub fn send(&self, value: T) -> impl Future<Output = Result<(), SendError<T>>> + use<'_, T> {
        Sending::new(&self.half, value)
    }

    /// Sends a value if there is room now, and no sender waits for room.
    ///
    /// # Errors
    ///
    /// Returns [`TrySendError`], with the value, if there is no room, or the receiver
    /// was closed or dropped.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.half.try_send(value)
    }

    /// Sends a value, and waits for room, but at most for `limit`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the value is dropped with the future, and the place in the
    /// queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`SendTimeoutError`], with the value, if there was no room in time, or
    /// the receiver was closed or dropped.
    ///
    /// # Panics
    ///
    /// Panics if it is polled outside a runtime, because it needs the runtime's clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, _receiver) = mpsc::channel(1);
    ///     let limit = Duration::from_millis(1);
    ///     sender.send_timeout(1, limit).await.unwrap();
    ///     let late = sender.send_timeout(2, limit).await.unwrap_err();
    ///     assert_eq!(late.into_inner(), 2);
    /// });
    /// ```
    pub async fn send_timeout(&self, value: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        match timeout(limit, Reserve::new(&self.half)).await {
            Ok(Ok(())) => {
                self.half.put(value);
                Ok(())
            }
            Ok(Err(SendError(()))) => Err(SendTimeoutError::Closed(value)),
            Err(_) => Err(SendTimeoutError::Timeout(value)),
        }
    }

    /// Waits for room, and reserves it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: room that was granted to the dropped future goes to the next
    /// sender in the queue. The place in the queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`] if the receiver was closed or dropped.
    ///
    /// # Examples
    ///
    /// A value that is costly to make is made only when there is room for it:
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     let permit = sender.reserve().await.unwrap();
    ///     permit.send("a large page");
    ///     assert_eq!(receiver.recv().await, Some("a large page"));
    /// });
    /// ```
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        Reserve::new(&self.half).await?;
        Ok(Permit::new(&self.half))
    }

    /// Waits until there is room for `count` values, and reserves it.
    ///
    /// Senders that come later wait until this request has all of its room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: room that was granted to the dropped future goes to the next
    /// sender in the queue. The place in the queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`] if the receiver was closed or dropped, or if `count` is
    /// more than the channel can hold.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(4);
    ///     for (permit, word) in sender.reserve_many(2).await.unwrap().zip(["one", "two"]) {
    ///         permit.send(word);
    ///     }
    ///     assert_eq!(receiver.recv().await, Some("one"));
    ///     assert_eq!(receiver.recv().await, Some("two"));
    /// });
    /// ```
    pub async fn reserve_many(&self, count: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        ReserveMany::new(&self.half, count).await?;
        Ok(PermitIterator::new(&self.half, count))
    }

    /// Waits for room, and reserves it together with this sender.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the future owns the sender and drops it; clone the sender
    /// before. Room that was granted goes to the next sender in the queue.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`] if the receiver was closed or dropped.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        Reserve::new(&self.half).await?;
        Ok(OwnedPermit::new(self))
    }

    /// Reserves room if there is some now, and no sender waits for it.
    ///
    /// # Errors
    ///
    /// Returns [`TrySendError`] if there is no room, or the receiver was closed or
    /// dropped.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.half.try_reserve(1)?;
        Ok(Permit::new(&self.half))
    }

    /// Reserves room for `count` values if there is enough now, and no sender waits
    /// for it.
    ///
    /// # Errors
    ///
    /// Returns [`TrySendError`] if there is not enough room, or the receiver was closed
    /// or dropped.
    pub fn try_reserve_many(
        &self,
        count: usize,
    ) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        if count > self.max_capacity() {
            return Err(TrySendError::Full(()));
        }
        self.half.try_reserve(count)?;
        Ok(PermitIterator::new(&self.half, count))
    }

    /// Reserves room together with this sender, if there is some now and no sender
    /// waits for it.
    ///
    /// # Errors
    ///
    /// Returns [`TrySendError`], with the sender, if there is no room, or the receiver
    /// was closed or dropped.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.half.try_reserve(1) {
            Ok(()) => Ok(OwnedPermit::new(self)),
            Err(error) => Err(error.map(|()| self)),
        }
    }

    /// Waits until the receiver is closed or dropped.
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
    ///     let (sender, receiver) = mpsc::channel::<u8>(1);
    ///     coreloop::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    ///     assert!(sender.is_closed());
    /// });
    /// ```
    pub async fn closed(&self) {
        self.half.closed().await;
    }

    /// Returns whether the receiver was closed or dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.half.is_closed()
    }

    /// Returns whether both senders send into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        self.half.same_channel(&other.half)
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

    /// Creates a weak sender, which does not keep the channel open.
    #[must_use = "this makes a weak sender and leaves the sender as it is"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender {
            half: self.half.downgrade(),
        }
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.half.strong_count()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.half.weak_count()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
