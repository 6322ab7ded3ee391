//! Two streams as one.

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
        first_over: bool,
        second_over: bool,
        // Whose turn it is to be looked at first.
        second_first: bool,
    }
}

impl<A, B> Merge<A, B> {
    pub(super) fn new(first: A, second: B) -> Merge<A, B> {
        Merge {
            first,
            second,
            first_over: false,
            second_over: false,
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

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<A::Item>> {
        ready!(budget::poll_proceed(context));
        let mut this = self.project();
        let second_first = *this.second_first;
        for second in [second_first, !second_first] {
            let polled = if second {
                poll(this.second.as_mut(), this.second_over, context)
            } else {
                poll(this.first.as_mut(), this.first_over, context)
            };
            if let Poll::Ready(Some(item)) = polled {
                // Not at each poll: then one might always be looked at first in
                // the polls that find something.
                *this.second_first = !second;
                return Poll::Ready(Some(item));
            }
        }
        if *this.first_over && *this.second_over {
            return Poll::Ready(None);
        }
        // What the first has not left of the budget is the second's next time.
        if !budget::has_left() {
            *this.second_first = !second_first;
        }
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let hint = |over, hint| if over { (0, Some(0)) } else { hint };
        let first = hint(self.first_over, self.first.size_hint());
        let second = hint(self.second_over, self.second.size_hint());
        let upper = first.1.zip(second.1);
        (
            first.0.saturating_add(second.0),
            upper.and_then(|(first, second)| first.checked_add(second)),
        )
    }
}

fn poll<S: Stream>(
    stream: Pin<&mut S>,
    over: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Option<S::Item>> {
    if *over {
        return Poll::Ready(None);
    }
    let polled = stream.poll_next(context);
    *over = matches!(polled, Poll::Ready(None));
    polled
}

impl<A, B> FusedStream for Merge<A, B>
where
    A: Stream,
    B: Stream<Item = A::Item>,
{
    fn is_terminated(&self) -> bool {
        self.first_over && self.second_over
    }
}
