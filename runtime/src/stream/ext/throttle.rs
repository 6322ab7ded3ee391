//! [`Throttle`]: items with a minimum time between them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::engine::core::sleep::Sleep;
use crate::stream::ext::timeout::restart;
use crate::time::sleep::sleep;

pin_project! {
    /// The stream of [`LoopStreamExt::throttle`](super::LoopStreamExt::throttle).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Throttle<S> {
        #[pin]
        stream: S,
        // `Some` from the first item on.
        delay: Option<Sleep>,
        duration: Duration,
    }
}

impl<S> Throttle<S> {
    pub(super) fn new(stream: S, duration: Duration) -> Self {
        Self {
            stream,
            delay: None,
            duration,
        }
    }
}

impl<S: Stream> Stream for Throttle<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if !this.duration.is_zero()
            && let Some(delay) = this.delay
            && !delay.is_due()
        {
            ready!(Pin::new(delay).poll(cx));
        }
        let item = ready!(this.stream.poll_next(cx));
        if item.is_some() && !this.duration.is_zero() {
            match this.delay {
                Some(delay) => restart(delay, *this.duration),
                None => *this.delay = Some(sleep(*this.duration)),
            }
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S: FusedStream> FusedStream for Throttle<S> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}
