//! Whose share of a channel keeps what alive.
//!
//! Each half counts itself in the [`Channel`] beside the count of the `Rc`:
//! the channel ends for the receiver with the last [`SendHalf`], and for the
//! senders with the [`ReceiveHalf`].

use std::ops::Deref;
use std::rc::Rc;

use super::channel::Channel;

/// A sender's share of the channel: the receiver sees the end when the last
/// one is gone.
pub(super) struct SendHalf<T>(Rc<Channel<T>>);

/// A weak sender's share, which the receiver does not wait for.
pub(super) struct WeakHalf<T>(Rc<Channel<T>>);

/// The receiver's share.
pub(super) struct ReceiveHalf<T>(Rc<Channel<T>>);

pub(super) fn halves<T>(bound: usize) -> (SendHalf<T>, ReceiveHalf<T>) {
    let channel = Rc::new(Channel::new(bound));
    (SendHalf::new(Rc::clone(&channel)), ReceiveHalf(channel))
}

impl<T> Deref for SendHalf<T> {
    type Target = Channel<T>;

    fn deref(&self) -> &Channel<T> {
        &self.0
    }
}

impl<T> Deref for WeakHalf<T> {
    type Target = Channel<T>;

    fn deref(&self) -> &Channel<T> {
        &self.0
    }
}

impl<T> Deref for ReceiveHalf<T> {
    type Target = Channel<T>;

    fn deref(&self) -> &Channel<T> {
        &self.0
    }
}

impl<T> SendHalf<T> {
    fn new(channel: Rc<Channel<T>>) -> Self {
        // No overflow: each holds a count of the `Rc`, which aborts at its own.
        channel.senders.set(channel.senders.get() + 1);
        Self(channel)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn downgrade(&self) -> WeakHalf<T> {
        WeakHalf::new(Rc::clone(&self.0))
    }
}

impl<T> Clone for SendHalf<T> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.0))
    }
}

impl<T> Drop for SendHalf<T> {
    fn drop(&mut self) {
        let left = self.0.senders.get() - 1;
        self.0.senders.set(left);
        if left == 0 {
            self.0.receiver.wake();
        }
    }
}

impl<T> WeakHalf<T> {
    fn new(channel: Rc<Channel<T>>) -> Self {
        channel.weak_senders.set(channel.weak_senders.get() + 1);
        Self(channel)
    }

    pub(super) fn upgrade(&self) -> Option<SendHalf<T>> {
        self.0
            .has_senders()
            .then(|| SendHalf::new(Rc::clone(&self.0)))
    }
}

impl<T> Clone for WeakHalf<T> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.0))
    }
}

impl<T> Drop for WeakHalf<T> {
    fn drop(&mut self) {
        self.0.weak_senders.set(self.0.weak_senders.get() - 1);
    }
}

impl<T> Drop for ReceiveHalf<T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
