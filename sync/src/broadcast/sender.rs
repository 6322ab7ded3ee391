//! The senders.

use std::fmt;
use std::rc::Rc;

use super::Receiver;
use super::channel::Channel;
use super::error::SendError;

/// Makes a channel that keeps the last `capacity` values.
///
/// Its memory grows as it is used, and not beyond what that many values need.
///
/// # Panics
///
/// If `capacity` is zero.
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

/// Sends to all receivers of a channel.
///
/// Its clones send into the same channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Makes a channel without a receiver, for which there will be
    /// [subscriptions](Self::subscribe).
    ///
    /// # Panics
    ///
    /// If `capacity` is zero.
    #[must_use]
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert!(
            capacity > 0,
            "a broadcast channel keeps one value at least; to show the latest one only, \
             use `watch::channel`"
        );
        Self::of(Channel::new(capacity))
    }

    fn of(channel: Rc<Channel<T>>) -> Self {
        channel.ends.add_sender();
        Self { channel }
    }

    /// Sends a value to all receivers there are now, and returns how many.
    ///
    /// That it was sent does not mean that it is received: a receiver may yet
    /// be dropped, or fall behind.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if there is no receiver. There may be one
    /// again, by [`subscribe`](Self::subscribe).
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        self.channel.send(value)
    }

    /// A receiver of what is sent from now on.
    #[must_use = "it counts as a receiver while it exists"]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::of(Rc::clone(&self.channel))
    }

    /// How many values are kept for receivers that have not seen them.
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

    /// Whether no value is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.ends.receivers()
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
        self.channel.ends.deserted().await;
    }

    /// Whether both send into the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }

    /// A handle that does not keep the channel open.
    #[must_use = "this makes a weak sender and leaves the sender as it is"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender::of(Rc::clone(&self.channel))
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.channel.ends.senders()
    }

    /// How many weak senders there are.
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
        self.channel.ends.remove_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sender")
            .field("len", &self.len())
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

/// A sender that does not keep the channel open.
///
/// When all [`Sender`]s are gone the receivers see the end, whatever weak ones
/// there are.
pub struct WeakSender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> WeakSender<T> {
    fn of(channel: Rc<Channel<T>>) -> Self {
        channel.weak_senders.set(channel.weak_senders.get() + 1);
        Self { channel }
    }

    /// A sender, unless all are gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        (self.strong_count() > 0).then(|| Sender::of(Rc::clone(&self.channel)))
    }

    /// How many senders there are.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.channel.ends.senders()
    }

    /// How many weak senders there are.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WeakSender").finish_non_exhaustive()
    }
}
