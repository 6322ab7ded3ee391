//! The senders of an unbounded channel.

use std::fmt;

use super::error::SendError;
use super::halves::{SendHalf, halves};
use super::{UnboundedReceiver, WeakUnboundedSender};

/// Creates a channel that holds any number of values.
///
/// Nothing slows a sender down that is faster than the receiver, so the memory of
/// the channel has no bound. If that may happen, use [`channel`](super::channel).
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
        UnboundedReceiver::new(receiving),
    )
}

/// The sending end of an unbounded channel, which [`unbounded_channel`] creates.
///
/// Its clones send into the same channel.
pub struct UnboundedSender<T> {
    pub(super) half: SendHalf<T>,
}

impl<T> UnboundedSender<T> {
    /// Sends a value, without waiting, because there is always room.
    ///
    /// # Errors
    ///
    /// Returns [`SendError`], with the value, if the receiver was closed or dropped.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let sent = self.half.try_send(value);
        sent.map_err(|error| SendError(error.into_inner()))
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
    ///     let (sender, receiver) = mpsc::unbounded_channel::<u8>();
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

    /// Creates a weak sender, which does not keep the channel open.
    #[must_use = "this makes a weak sender and leaves the sender as it is"]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender {
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

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            half: self.half.clone(),
        }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedSender")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
