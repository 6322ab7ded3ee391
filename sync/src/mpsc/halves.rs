//! The halves of a channel, which bounded and unbounded channels share.
//!
//! Each half counts itself in the [`Channel`], in addition to the count of the `Rc`.
//! The receiver sees the end when the last [`SendHalf`] is dropped; sending fails
//! when the [`ReceiveHalf`] is dropped.

use std::ops::Deref;
use std::rc::Rc;

use super::channel::Channel;

/// A sender's handle to the channel.
pub(super) struct SendHalf<T>(Rc<Channel<T>>);

/// A weak sender's handle, which does not keep the channel open.
pub(super) struct WeakHalf<T>(Rc<Channel<T>>);

/// The receiver's handle.
pub(super) struct ReceiveHalf<T>(Rc<Channel<T>>);

pub(super) fn halves<T>(max_capacity: usize) -> (SendHalf<T>, ReceiveHalf<T>) {
    let channel = Rc::new(Channel::new(max_capacity));
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
        channel.add_sender();
        Self(channel)
    }

    pub(super) fn same_channel(&self, other: &Self) -> bool {
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
        self.0.remove_sender();
    }
}

impl<T> WeakHalf<T> {
    fn new(channel: Rc<Channel<T>>) -> Self {
        channel.add_weak_sender();
        Self(channel)
    }

    pub(super) fn upgrade(&self) -> Option<SendHalf<T>> {
        let has_senders = self.0.strong_count() > 0;
        has_senders.then(|| SendHalf::new(Rc::clone(&self.0)))
    }
}

impl<T> Clone for WeakHalf<T> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.0))
    }
}

impl<T> Drop for WeakHalf<T> {
    fn drop(&mut self) {
        self.0.remove_weak_sender();
    }
}

impl<T> Drop for ReceiveHalf<T> {
    fn drop(&mut self) {
        self.0.drop_receiver();
    }
}
