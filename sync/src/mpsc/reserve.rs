//! Waiting for room in a channel.
//!
//! # Invariants
//!
//! 1. A future that fails, or is dropped, while it has slots returns them by `give_back`:
//!    the receiver of a closed channel may wait for the last one.
//! 2. Closing fails also who was granted a slot and has not seen it yet.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use super::channel::Channel;
use super::error::SendError;
use crate::slots::{Place, Places};

/// Takes one slot.
pub(super) struct Reserve<'a, T> {
    channel: &'a Channel<T>,
    place: Place,
}

impl<'a, T> Reserve<'a, T> {
    #[inline]
    pub(super) fn new(channel: &'a Channel<T>) -> Self {
        Self {
            channel,
            place: None,
        }
    }
}

impl<T> Future for Reserve<'_, T> {
    type Output = Result<(), SendError<()>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if coop::poll_proceed(cx).is_pending() {
            this.channel.slots.keep_place(&mut this.place);
            return Poll::Pending;
        }
        if this.channel.is_closed() {
            this.leave();
            return Poll::Ready(Err(SendError(())));
        }
        let taken = ready!(this.channel.slots.poll_take(&mut this.place, cx));
        Poll::Ready(taken.map_err(|_| SendError(())))
    }
}

impl<T> Reserve<'_, T> {
    #[inline]
    fn leave(&mut self) {
        if self.place.is_some() {
            let had = self.channel.slots.leave(&mut self.place);
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

/// Takes one slot and puts a value into it.
pub(super) struct Sending<'a, T> {
    reserve: Reserve<'a, T>,
    /// Until it is sent or returned.
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

/// The value is moved out and never polled.
impl<T> Unpin for Sending<'_, T> {}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Before anything else, as it must not take a slot that it has no value for.
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
                // It is already. Storing it here lets the compiler see that there is no place
                // to give up when this is dropped.
                this.reserve.place = None;
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

/// Takes several slots.
pub(super) struct ReserveMany<'a, T> {
    channel: &'a Channel<T>,
    count: usize,
    places: Places,
}

impl<'a, T> ReserveMany<'a, T> {
    pub(super) fn new(channel: &'a Channel<T>, count: usize) -> Self {
        Self {
            channel,
            count,
            places: Places::default(),
        }
    }
}

impl<T> Future for ReserveMany<'_, T> {
    type Output = Result<(), SendError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let is_possible = this.count <= this.channel.bound;
        if coop::poll_proceed(cx).is_pending() {
            if is_possible {
                this.channel.slots.keep_places(this.count, &mut this.places);
            }
            return Poll::Pending;
        }
        if this.channel.is_closed() || !is_possible {
            this.leave();
            return Poll::Ready(Err(SendError(())));
        }
        let taken = this
            .channel
            .slots
            .poll_take_many(this.count, &mut this.places, cx);
        Poll::Ready(ready!(taken).map_err(|_| SendError(())))
    }
}

impl<T> ReserveMany<'_, T> {
    fn leave(&mut self) {
        let had = self.channel.slots.leave_many(&mut self.places);
        self.channel.give_back(had);
    }
}

impl<T> Drop for ReserveMany<'_, T> {
    fn drop(&mut self) {
        self.leave();
    }
}
