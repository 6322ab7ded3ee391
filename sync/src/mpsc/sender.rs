//! The senders of a bounded channel.

use std::fmt;
use std::time::Duration;

use coreloop_runtime::time::timeout;

use super::error::{SendError, SendTimeoutError, TrySendError};
use super::halves::{SendHalf, WeakHalf, halves};
use super::reserve::{Reserve, ReserveMany, Sending};
use super::{OwnedPermit, Permit, PermitIterator, Receiver};

/// Makes a channel that holds at most `buffer` values.
///
/// Its memory grows as it is used, so a large `buffer` costs nothing as long as
/// the receiver keeps up.
///
/// # Panics
///
/// If `buffer` is zero.
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
        "an mpsc channel needs room for one value at least; to hand values over one by one, \
         use `mpsc::channel(1)`"
    );
    let (sending, receiving) = halves(buffer);
    (Sender { half: sending }, Receiver::new(receiving))
}

/// Sends into a bounded channel, which [`channel`] makes.
///
/// Its clones send into the same channel.
pub struct Sender<T> {
    pub(super) half: SendHalf<T>,
}

impl<T> Sender<T> {
    /// Sends a value, and waits for room if there is none.
    ///
    /// Senders that wait are served in order, and none that comes later is
    /// served before them.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the value is dropped if this is. Use
    /// [`reserve`](Self::reserve) where the value must be kept. The place in
    /// the queue is lost too.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the receiver is closed or gone.
    #[inline]
    pub fn send(&self, value: T) -> impl Future<Output = Result<(), SendError<T>>> + use<'_, T> {
        Sending::new(&self.half, value)
    }

    /// Sends a value if there is room now, and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value, if there is no room, or the receiver
    /// is closed or gone.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.half.try_reserve(1) {
            Ok(()) => {
                self.half.put_open(value);
                Ok(())
            }
            Err(error) => Err(error.map(|()| value)),
        }
    }

    /// Sends a value, and waits for room, but not longer than `limit`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the value is dropped if this is, and the place in the
    /// queue is lost.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value, if there was no room in time, or
    /// the receiver is closed or gone.
    ///
    /// # Panics
    ///
    /// If it is polled outside a coreloop runtime, whose clock it goes by.
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

    /// Waits for room and holds it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: room that was given to the dropped future goes to the next
    /// in the queue. Its own place in the queue is lost.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the receiver is closed or gone.
    ///
    /// # Examples
    ///
    /// What is costly to make is only made when there is room for it:
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

    /// Waits until there is room for `count` values, and holds it.
    ///
    /// Those who come later wait until it has all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: room that was given to the dropped future goes to the next
    /// in the queue. Its own place in the queue is lost.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the receiver is closed or gone, or if the channel never
    /// has so much room.
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

    /// Waits for room, and holds it together with this sender.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the sender is dropped if this is, as it owns it; clone
    /// it before. Room that was given goes to the next in the queue.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the receiver is closed or gone.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        Reserve::new(&self.half).await?;
        Ok(OwnedPermit::new(self))
    }

    /// Holds room if there is some now, and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] if there is no room, or the receiver is closed or gone.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.half.try_reserve(1)?;
        Ok(Permit::new(&self.half))
    }

    /// Holds room for `count` values if there is so much now, and nobody waits
    /// for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] if there is not so much room, or the receiver is closed
    /// or gone.
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

    /// Holds room together with this sender, if there is some now and nobody
    /// waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the sender, if there is no room, or the receiver
    /// is closed or gone.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.half.try_reserve(1) {
            Ok(()) => Ok(OwnedPermit::new(self)),
            Err(error) => Err(error.map(|()| self)),
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
    ///     let (sender, receiver) = mpsc::channel::<u8>(1);
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

    /// A handle that the receiver does not wait for.
    #[must_use = "this makes a weak sender and leaves the sender as it is"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender {
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

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A sender that does not keep the channel open.
///
/// When all [`Sender`]s are gone the receiver sees the end, whatever weak ones
/// there are.
///
/// # Examples
///
/// ```
/// use coreloop::sync::mpsc;
///
/// let (sender, _receiver) = mpsc::channel(1);
/// let weak = sender.downgrade();
/// weak.upgrade().unwrap().try_send(1).unwrap();
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakSender<T> {
    half: WeakHalf<T>,
}

impl<T> WeakSender<T> {
    /// A sender, unless all are gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.half.upgrade().map(|half| Sender { half })
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

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
