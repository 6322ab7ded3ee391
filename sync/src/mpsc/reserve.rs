//! The futures that wait for room in a channel.
//!
//! # Invariants
//!
//! 1. A future that fails, or is dropped, while it has slots returns them through `give_back`:
//!    the receiver of a closed channel may wait for the last slot.
//! 2. When the channel is closed, a future also fails if it was granted a slot that it has
//!    not collected yet.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use super::channel::Channel;
use super::error::SendError;
use crate::capacity::ManyRequest;
use crate::waiters::Key;

/// The future that takes one slot.
pub(super) struct Reserve<'a, T> {
    channel: &'a Channel<T>,
    key: Option<Key>,
}

impl<'a, T> Reserve<'a, T> {
    #[inline]
    pub(super) fn new(channel: &'a Channel<T>) -> Self {
        Self { channel, key: None }
    }
}

impl<T> Future for Reserve<'_, T> {
    type Output = Result<(), SendError<()>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if coop::poll_proceed(cx).is_pending() {
            this.channel.capacity.keep_place(&mut this.key);
            return Poll::Pending;
        }
        if this.channel.is_closed() {
            this.leave();
            return Poll::Ready(Err(SendError(())));
        }
        let taken = ready!(this.channel.capacity.poll_take(&mut this.key, cx));
        Poll::Ready(taken.map_err(|_| SendError(())))
    }
}

impl<T> Reserve<'_, T> {
    #[inline]
    fn leave(&mut self) {
        if self.key.is_some() {
            let had = self.channel.capacity.leave(&mut self.key);
            self.channel.give_back(had);
        }
    }
}

impl<T> Drop for Reserve<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

/// The future that takes one slot and puts a value into it.
pub(super) struct Sending<'a, T> {
    reserve: Reserve<'a, T>,
    /// `None` once the value was sent or returned.
    value: Option<T>,
}

impl<'a, T> Sending<'a, T> {
    #[inline]
    pub(super) fn new(channel: &'a Channel<T>, value: T) -> Self {
        Self {
            reserve: Reserve::new(channel),
            value: Some(value),
        }
    }
}

/// The value is moved out and never polled, so it need not be pinned.
impl<T> Unpin for Sending<'_, T> {}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Checked first, because the future must not take a slot without a value.
        if this.value.is_none() {
            polled_again();
        }
        let reserved = ready!(Pin::new(&mut this.reserve).poll(cx));
        let Some(value) = this.value.take() else {
            polled_again();
        };
        Poll::Ready(match reserved {
            Ok(()) => {
                this.reserve.channel.put_open(value);
                // The key is `None` already. Storing it here lets the compiler see that the
                // destructor has nothing to do.
                this.reserve.key = None;
                Ok(())
            }
            Err(SendError(())) => Err(SendError(value)),
        })
    }
}

#[cold]
fn polled_again() -> ! {
    panic!("the future of `Sender::send` was polled after it was ready; await it once")
}

/// The future that takes several slots.
pub(super) struct ReserveMany<'a, T> {
    channel: &'a Channel<T>,
    count: usize,
    request: ManyRequest,
}

impl<'a, T> ReserveMany<'a, T> {
    pub(super) fn new(channel: &'a Channel<T>, count: usize) -> Self {
        Self {
            channel,
            count,
            request: ManyRequest::default(),
        }
    }
}

impl<T> Future for ReserveMany<'_, T> {
    type Output = Result<(), SendError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let is_possible = this.count <= this.channel.max_capacity;
        if coop::poll_proceed(cx).is_pending() {
            if is_possible {
                this.channel
                    .capacity
                    .keep_place_for_many(this.count, &mut this.request);
            }
            return Poll::Pending;
        }
        if this.channel.is_closed() || !is_possible {
            this.leave();
            return Poll::Ready(Err(SendError(())));
        }
        let taken = this
            .channel
            .capacity
            .poll_take_many(this.count, &mut this.request, cx);
        Poll::Ready(ready!(taken).map_err(|_| SendError(())))
    }
}

impl<T> ReserveMany<'_, T> {
    fn leave(&mut self) {
        let had = self.channel.capacity.leave_many(&mut self.request);
        self.channel.give_back(had);
    }
}

impl<T> Drop for ReserveMany<'_, T> {
    fn drop(&mut self) {
        self.leave();
    }
}
