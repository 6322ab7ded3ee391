//! [`Merge`]: two streams as one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::engine::task::budget;

pin_project! {
    /// The stream of [`LoopStreamExt::merge`](super::LoopStreamExt::merge).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Merge<A, B> {
        #[pin]
        first: A,
        #[pin]
        second: B,
        first_ended: bool,
        second_ended: bool,
        // Whether the next poll polls the second stream first.
        second_first: bool,
    }
}

impl<A, B> Merge<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self {
            first,
            second,
            first_ended: false,
            second_ended: false,
            second_first: false,
        }
    }
}

impl<A, B> Stream for Merge<A, B>
where
    A: Stream,
    B: Stream<Item = A::Item>,
{
    type Item = A::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<A::Item>> {
        ready!(budget::poll_proceed(cx));
        let mut this = self.project();
        let second_first = *this.second_first;
        for second in [second_first, !second_first] {
            let polled = if second {
                poll(this.second.as_mut(), this.second_ended, cx)
            } else {
                poll(this.first.as_mut(), this.first_ended, cx)
            };
            if let Poll::Ready(Some(item)) = polled {
                // Switched per item and not per poll: otherwise the same stream might be
                // polled first in every poll that finds an item.
                *this.second_first = !second;
                return Poll::Ready(Some(item));
            }
        }
        if *this.first_ended && *this.second_ended {
            return Poll::Ready(None);
        }
        // The stream that was polled first has spent the budget, so the other one is
        // polled first next time.
        if !budget::has_left() {
            *this.second_first = !second_first;
        }
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let hint = |ended, hint| if ended { (0, Some(0)) } else { hint };
        let first = hint(self.first_ended, self.first.size_hint());
        let second = hint(self.second_ended, self.second.size_hint());
        let upper = first.1.zip(second.1);
        (
            first.0.saturating_add(second.0),
            upper.and_then(|(first, second)| first.checked_add(second)),
        )
    }
}

fn poll<S: Stream>(
    stream: Pin<&mut S>,
    ended: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Option<S::Item>> {
    if *ended {
        return Poll::Ready(None);
    }
    let polled = stream.poll_next(cx);
    *ended = matches!(polled, Poll::Ready(None));
    polled
}

impl<A, B> FusedStream for Merge<A, B>
where
    A: Stream,
    B: Stream<Item = A::Item>,
{
    fn is_terminated(&self) -> bool {
        self.first_ended && self.second_ended
    }
}
