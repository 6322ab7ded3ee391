//! [`Debounce`]: only items that no other item follows soon.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::engine::core::limit::{Limit, Verdict};
use crate::engine::core::sleep::Sleep;
use crate::engine::task::budget;
use crate::stream::ext::timeout::restart;

pin_project! {
    /// The stream of [`LoopStreamExt::debounce`](super::LoopStreamExt::debounce).
    #[must_use = "streams do nothing unless polled"]
    pub struct Debounce<S: Stream> {
        #[pin]
        stream: S,
        last: Option<S::Item>,
        // Runs from the last item on; `None` before the first item.
        timer: Option<Sleep>,
        duration: Duration,
        ended: bool,
    }
}

impl<S: Stream> Debounce<S> {
    pub(super) fn new(stream: S, duration: Duration) -> Self {
        Self {
            stream,
            last: None,
            timer: None,
            duration,
            ended: false,
        }
    }
}

impl<S: Stream> Stream for Debounce<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        let mut limit = Limit::before_poll();
        while !*this.ended {
            match this.stream.as_mut().poll_next(cx) {
                Poll::Pending => {
                    let (Some(timer), true) = (&mut *this.timer, this.last.is_some()) else {
                        return Poll::Pending;
                    };
                    match limit.check(timer, cx) {
                        Verdict::Wait => return Poll::Pending,
                        Verdict::Late => return Poll::Ready(this.last.take()),
                        Verdict::PollAgain => {}
                    }
                }
                Poll::Ready(Some(item)) => {
                    let followed = this.last.replace(item);
                    match this.timer {
                        Some(timer) => restart(timer, *this.duration),
                        None => *this.timer = Some(Limit::clock(*this.duration)),
                    }
                    drop(followed);
                    // Spent here, because an item that is dropped spends nothing elsewhere.
                    ready!(budget::poll_proceed(cx));
                    limit.renew();
                }
                Poll::Ready(None) => *this.ended = true,
            }
        }
        Poll::Ready(this.last.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let kept = usize::from(self.last.is_some());
        let (lower, upper) = self.stream.size_hint();
        let any = usize::from(lower > 0 || kept > 0);
        (any, upper.and_then(|upper| upper.checked_add(kept)))
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for Debounce<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debounce")
            .field("stream", &self.stream)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
