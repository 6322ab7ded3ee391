//! [`Timeout`]: items with a time limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::engine::core::limit::{Limit, Verdict};
use crate::engine::core::sleep::Sleep;
use crate::engine::timers::instant::Instant;
use crate::time::error::Elapsed;

pin_project! {
    /// The stream of [`LoopStreamExt::timeout`](super::LoopStreamExt::timeout).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Timeout<S> {
        #[pin]
        stream: S,
        deadline: Sleep,
        duration: Duration,
        // Whether the deadline applies: false from a timeout to the next item.
        limited: bool,
    }
}

impl<S> Timeout<S> {
    #[track_caller]
    pub(super) fn new(stream: S, duration: Duration) -> Self {
        Self {
            stream,
            deadline: Limit::clock(duration),
            duration,
            limited: true,
        }
    }
}

impl<S: Stream> Stream for Timeout<S> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let mut limit = Limit::before_poll();
        loop {
            if let Poll::Ready(item) = this.stream.as_mut().poll_next(cx) {
                if item.is_some() {
                    restart(this.deadline, *this.duration);
                    *this.limited = true;
                }
                return Poll::Ready(item.map(Ok));
            }
            if !*this.limited {
                return Poll::Pending;
            }
            match limit.check(this.deadline, cx) {
                Verdict::Wait => return Poll::Pending,
                Verdict::Late => {
                    *this.limited = false;
                    return Poll::Ready(Some(Err(Elapsed::new())));
                }
                Verdict::PollAgain => {}
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.stream.size_hint();
        // There may be an error before each item and before the end.
        let twice = |upper: usize| upper.checked_mul(2)?.checked_add(1);
        (lower, upper.and_then(twice))
    }
}

/// Restarts a timer, which fires when `duration` has passed from now.
pub(super) fn restart(timer: &mut Sleep, duration: Duration) {
    match Instant::now().checked_add(duration) {
        Some(deadline) => Pin::new(timer).reset(deadline),
        None => *timer = Limit::clock(duration),
    }
}
