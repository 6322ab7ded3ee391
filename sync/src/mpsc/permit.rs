//! Permits: room in a channel that is reserved before there is a value.

use std::fmt;
use std::iter::FusedIterator;
use std::mem;

use super::Sender;
use super::channel::Channel;

/// Room for one value, reserved by [`Sender::reserve`] or [`Sender::try_reserve`].
///
/// Dropping the permit returns the room. A closed receiver waits for all permits:
/// it sees the end only when each permit was used or dropped.
#[must_use = "the room is returned at once if the permit is not kept"]
pub struct Permit<'a, T> {
    channel: &'a Channel<T>,
}

impl<'a, T> Permit<'a, T> {
    /// For a caller that took a slot.
    pub(super) fn new(channel: &'a Channel<T>) -> Self {
        Self { channel }
    }

    /// Sends a value. This does not wait, and does not fail.
    ///
    /// A receiver that was closed after the room was reserved still receives the
    /// value. If the receiver was dropped, the value is dropped here.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     let permit = sender.reserve().await.unwrap();
    ///     assert!(sender.try_send(1).is_err(), "the room is held");
    ///     permit.send(2);
    ///     assert_eq!(receiver.recv().await, Some(2));
    /// });
    /// ```
    pub fn send(self, value: T) {
        let channel = self.channel;
        mem::forget(self);
        channel.put(value);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.channel.give_back(1);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// An iterator over permits, from [`Sender::reserve_many`] or
/// [`Sender::try_reserve_many`].
///
/// Dropping the iterator returns the room of the permits that were not taken out.
#[must_use = "the room is returned at once if the permits are not kept"]
pub struct PermitIterator<'a, T> {
    channel: &'a Channel<T>,
    left: usize,
}

impl<'a, T> PermitIterator<'a, T> {
    /// For a caller that took `left` slots.
    pub(super) fn new(channel: &'a Channel<T>, left: usize) -> Self {
        Self { channel, left }
    }
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Permit<'a, T>> {
        self.left = self.left.checked_sub(1)?;
        Some(Permit::new(self.channel))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}

impl<T> FusedIterator for PermitIterator<'_, T> {}

impl<T> Drop for PermitIterator<'_, T> {
    fn drop(&mut self) {
        self.channel.give_back(self.left);
    }
}

impl<T> fmt::Debug for PermitIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitIterator")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// Room for one value, together with its sender, reserved by
/// [`Sender::reserve_owned`] or [`Sender::try_reserve_owned`].
///
/// The permit borrows nothing, so it can be moved to another task. Dropping it
/// returns the room and drops the sender.
#[must_use = "the room is returned at once if the permit is not kept"]
pub struct OwnedPermit<T> {
    /// `None` once the room was used or returned.
    sender: Option<Sender<T>>,
}

impl<T> OwnedPermit<T> {
    /// For a caller that took a slot of the sender's channel.
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self {
            sender: Some(sender),
        }
    }

    /// Sends a value, and returns the sender. This does not wait, and does not fail.
    ///
    /// A receiver that was closed after the room was reserved still receives the
    /// value. If the receiver was dropped, the value is dropped here.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::mpsc;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = mpsc::channel(1);
    ///     let permit = sender.reserve_owned().await.unwrap();
    ///     let sender = permit.send(1);
    ///     assert_eq!(receiver.recv().await, Some(1));
    ///     sender.send(2).await.unwrap();
    /// });
    /// ```
    pub fn send(mut self, value: T) -> Sender<T> {
        let sender = self.take();
        sender.half.put(value);
        sender
    }

    /// Gives the room back to the channel, and returns the sender.
    #[must_use = "the sender is dropped if it is not kept; dropping the permit does the same"]
    pub fn release(mut self) -> Sender<T> {
        let sender = self.take();
        sender.half.give_back(1);
        sender
    }

    /// Returns whether both permits are for the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.sender, &other.sender) {
            (Some(own), Some(other)) => own.same_channel(other),
            _ => false,
        }
    }

    /// Returns whether the permit is for the channel of `sender`.
    #[must_use]
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.sender
            .as_ref()
            .is_some_and(|own| own.same_channel(sender))
    }

    fn take(&mut self) -> Sender<T> {
        self.sender
            .take()
            .unwrap_or_else(|| unreachable!("only methods that consume the permit take it"))
    }
}

impl<T> Drop for OwnedPermit<T> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.half.give_back(1);
        }
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").finish_non_exhaustive()
    }
}
