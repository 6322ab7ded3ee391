//! The senders of a broadcast channel.

use std::fmt;
use std::rc::Rc;

use super::Receiver;
use super::channel::Channel;
use super::error::SendError;

/// Creates a channel that keeps the last `capacity` values.
///
/// Its memory grows as it is used, up to what `capacity` values need.
///
/// # Panics
///
/// Panics if `capacity` is zero.
///
/// # Examples
///
/// ```
/// use coreloop::sync::broadcast;
///
/// coreloop::block_on(async {
///     let (sender, mut receiver) = broadcast::channel(16);
///     sender.send("hello").unwrap();
///     assert_eq!(receiver.recv().await, Ok("hello"));
/// });
/// ```
#[must_use]
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// The sending end of a broadcast channel.
///
/// Its clones send into the same channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Creates a channel without a receiver. [`subscribe`](Self::subscribe) creates
    /// receivers.
    ///
    /// # Panics
    ///
    /// Panics if `capacity` is zero.
    #[must_use]
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert!(
            capacity > 0,
            "a broadcast channel keeps at least one value; to keep only the latest value, \
             use `watch::channel`"
        );
        Self::of(Channel::new(capacity))
    }

    fn of(channel: Rc<Channel<T>>) -> Self {
        channel.endpoints.add_sender();
        Self { channel }
    }

    /// Sends a value to all current receivers, and returns their number.
    ///
    /// A value that was sent is not always received: a receiver may still be dropped,
    /// or fall behind.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`], with the value, if there is no receiver.
    /// [`subscribe`](Self::subscribe) may create one again.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        self.channel.send(value)
    }

    /// Creates a receiver of the values that are sent from now on.
    #[must_use = "it counts as a receiver while it exists"]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::of(Rc::clone(&self.channel))
    }

    /// Returns the number of values that are kept for receivers.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::broadcast;
    ///
    /// let (sender, mut first) = broadcast::channel(16);
    /// let mut second = sender.subscribe();
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// assert_eq!(sender.len(), 2);
    /// first.try_recv().unwrap();
    /// assert_eq!(sender.len(), 2);
    /// second.try_recv().unwrap();
    /// assert_eq!(sender.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.channel.ring.borrow().len()
    }

    /// Returns whether no value is kept for a receiver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of receivers.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.endpoints.receivers()
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::broadcast;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, receiver) = broadcast::channel::<u8>(16);
    ///     coreloop::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    ///     assert_eq!(sender.receiver_count(), 0);
    /// });
    /// ```
    pub async fn closed(&self) {
        self.channel.endpoints.no_receivers().await;
    }

    /// Returns whether both senders send into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }

    /// Creates a weak sender, which does not keep the channel open.
    #[must_use = "this makes a weak sender and leaves the sender as it is"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender::of(Rc::clone(&self.channel))
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.channel.endpoints.senders()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.channel.weak_senders.get()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::of(Rc::clone(&self.channel))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.endpoints.remove_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("len", &self.len())
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

/// A weak sender of a broadcast channel, which does not keep the channel open.
///
/// When all [`Sender`]s are dropped the receivers see the end, even if there are weak
/// senders.
pub struct WeakSender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> WeakSender<T> {
    fn of(channel: Rc<Channel<T>>) -> Self {
        channel.weak_senders.set(channel.weak_senders.get() + 1);
        Self { channel }
    }

    /// Creates a sender, unless all senders were dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        (self.strong_count() > 0).then(|| Sender::of(Rc::clone(&self.channel)))
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.channel.endpoints.senders()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn weak_count(&self) -> usize {
        self.channel.weak_senders.get()
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self::of(Rc::clone(&self.channel))
    }
}

impl<T> Drop for WeakSender<T> {
    fn drop(&mut self) {
        let left = self.channel.weak_senders.get() - 1;
        self.channel.weak_senders.set(left);
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
