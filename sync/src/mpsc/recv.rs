//! The futures that receive from a channel.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::channel::Channel;

/// The future that receives the next value.
pub(super) struct Recv<'a, T> {
    channel: &'a Channel<T>,
    /// Whether the last poll was pending.
    waits: bool,
}

impl<'a, T> Recv<'a, T> {
    #[inline]
    pub(super) fn new(channel: &'a Channel<T>) -> Self {
        Self {
            channel,
            waits: false,
        }
    }
}

/// The future that receives several values.
pub(super) struct RecvMany<'a, T> {
    channel: &'a Channel<T>,
    buffer: &'a mut Vec<T>,
    limit: usize,
}

impl<'a, T> RecvMany<'a, T> {
    pub(super) fn new(channel: &'a Channel<T>, buffer: &'a mut Vec<T>, limit: usize) -> Self {
        Self {
            channel,
            buffer,
            limit,
        }
    }
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let received = self.channel.poll_receive(cx);
        self.waits = received.is_pending();
        received
    }
}

impl<T> Future for RecvMany<'_, T> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.get_mut();
        this.channel.poll_receive_many(cx, this.buffer, this.limit)
    }
}

// Both clear the waker, because a waker that is left behind keeps the memory of its task.

impl<T> Drop for Recv<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.waits {
            self.channel.receiver.clear();
        }
    }
}

impl<T> Drop for RecvMany<'_, T> {
    fn drop(&mut self) {
        self.channel.receiver.clear();
    }
}
