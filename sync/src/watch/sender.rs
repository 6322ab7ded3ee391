//! The senders of a watch channel.

use std::fmt;
use std::mem;
use std::rc::Rc;

use super::channel::Channel;
use super::error::SendError;
use super::{Receiver, Ref};

/// Creates a channel with its first value, which the receiver counts as seen.
///
/// # Examples
///
/// ```
/// use coreloop::sync::watch;
///
/// coreloop::block_on(async {
///     let (sender, mut receiver) = watch::channel(1);
///     assert_eq!(*receiver.borrow(), 1);
///     sender.send(2).unwrap();
///     receiver.changed().await.unwrap();
///     assert_eq!(*receiver.borrow_and_update(), 2);
/// });
/// ```
#[must_use]
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// The sending end of a watch channel.
///
/// Its clones belong to the same channel.
pub struct Sender<T> {
    channel: Rc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Creates a channel without a receiver. [`subscribe`](Self::subscribe) creates
    /// receivers.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::of(Rc::new(Channel::new(value)))
    }

    fn of(channel: Rc<Channel<T>>) -> Self {
        channel.endpoints.add_sender();
        Self { channel }
    }

    /// Replaces the value. The old value is dropped, or kept until the last [`Ref`] to it
    /// is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`], with the value, if there is no receiver. Use
    /// [`send_replace`](Self::send_replace) to set the value for later receivers.
    ///
    /// # Panics
    ///
    /// Panics if it is called by a closure that changes the value.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        // Dropped at the end, even if a waker panics.
        let _before = self.channel.value.set(value);
        self.channel.notify_receivers();
        Ok(())
    }

    /// Changes the value in place. There need not be a receiver.
    ///
    /// If the closure panics, no receiver is notified, and the value stays as the
    /// closure left it.
    ///
    /// # Panics
    ///
    /// Panics if a [`Ref`] to the value is held, or if it is called by a closure that
    /// changes the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(vec![1]);
    /// sender.send_modify(|numbers| numbers.push(2));
    /// assert_eq!(*receiver.borrow(), [1, 2]);
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    #[track_caller]
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.channel.value.change(modify);
        self.channel.notify_receivers();
    }

    /// Calls the closure with the value, and notifies the receivers if it returns true.
    /// Returns what the closure returned. There need not be a receiver.
    ///
    /// If the closure returns false, the receivers are not notified, even if it changed
    /// the value.
    ///
    /// # Panics
    ///
    /// Panics if a [`Ref`] to the value is held, or if it is called by a closure that
    /// changes the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(5);
    /// let highest = |new: u32| {
    ///     sender.send_if_modified(|current| {
    ///         let higher = new > *current;
    ///         *current = new.max(*current);
    ///         higher
    ///     })
    /// };
    /// assert!(!highest(3));
    /// assert!(!receiver.has_changed().unwrap());
    /// assert!(highest(7));
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    #[track_caller]
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = self.channel.value.change(modify);
        if modified {
            self.channel.notify_receivers();
        }
        modified
    }

    /// Replaces the value and returns the old one. There need not be a receiver.
    ///
    /// # Panics
    ///
    /// Panics if a [`Ref`] to the value is held, or if it is called by a closure that
    /// changes the value.
    #[track_caller]
    pub fn send_replace(&self, value: T) -> T {
        let before = self
            .channel
            .value
            .change(|current| mem::replace(current, value));
        self.channel.notify_receivers();
        before
    }

    /// Borrows the value.
    ///
    /// # Panics
    ///
    /// Panics if it is called by a closure that changes the value.
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref::new(self.channel.value.share(), false)
    }

    /// Creates a receiver that counts the current value as seen.
    #[must_use = "it counts as a receiver while it exists"]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::of(Rc::clone(&self.channel), self.channel.version.get())
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
    /// use coreloop::sync::watch;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, receiver) = watch::channel(1);
    ///     coreloop::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    ///     assert!(sender.is_closed());
    /// });
    /// ```
    pub async fn closed(&self) {
        self.channel.endpoints.no_receivers().await;
    }

    /// Returns whether there is no receiver. [`subscribe`](Self::subscribe) may create one
    /// again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Returns the number of receivers.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.endpoints.receivers()
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn sender_count(&self) -> usize {
        self.channel.endpoints.senders()
    }

    /// Returns whether both handles belong to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::of(Rc::clone(&self.channel))
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
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
            .field("version", &self.channel.version.get())
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}
