//! [`ChunksTimeout`]: items in vectors.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::engine::core::limit::{Limit, Verdict};
use crate::engine::core::sleep::Sleep;

pin_project! {
    /// The stream of
    /// [`LoopStreamExt::chunks_timeout`](super::LoopStreamExt::chunks_timeout).
    #[must_use = "streams do nothing unless polled"]
    pub struct ChunksTimeout<S: Stream> {
        #[pin]
        stream: S,
        items: Vec<S::Item>,
        max_size: usize,
        duration: Duration,
        // `Some` while `items` is not empty.
        deadline: Option<Sleep>,
        ended: bool,
    }
}

impl<S: Stream> ChunksTimeout<S> {
    #[track_caller]
    pub(super) fn new(stream: S, max_size: usize, duration: Duration) -> Self {
        assert!(max_size > 0, "chunks must have room for an item");
        Self {
            stream,
            items: Vec::new(),
            max_size,
            duration,
            deadline: None,
            ended: false,
        }
    }

    /// Returns the underlying stream, and the items collected so far.
    pub fn into_parts(self) -> (S, Vec<S::Item>) {
        (self.stream, self.items)
    }
}

impl<S: Stream> Stream for ChunksTimeout<S> {
    type Item = Vec<S::Item>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<S::Item>>> {
        let mut this = self.project();
        let mut limit = Limit::before_poll();
        while !*this.ended {
            match this.stream.as_mut().poll_next(cx) {
                Poll::Pending => {
                    let Some(deadline) = this.deadline else {
                        return Poll::Pending;
                    };
                    match limit.check(deadline, cx) {
                        Verdict::Wait => return Poll::Pending,
                        Verdict::Late => {
                            *this.deadline = None;
                            return Poll::Ready(Some(mem::take(this.items)));
                        }
                        Verdict::PollAgain => {}
                    }
                }
                Poll::Ready(Some(item)) => {
                    if this.items.is_empty() {
                        *this.deadline = Some(Limit::clock(*this.duration));
                    }
                    this.items.push(item);
                    if this.items.len() >= *this.max_size {
                        *this.deadline = None;
                        return Poll::Ready(Some(mem::take(this.items)));
                    }
                    // The limit starts anew, so that a spent budget does not end a chunk
                    // while the stream has items.
                    limit.renew();
                }
                Poll::Ready(None) => {
                    *this.ended = true;
                    *this.deadline = None;
                    let rest = mem::take(this.items);
                    return Poll::Ready((!rest.is_empty()).then_some(rest));
                }
            }
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let collected = usize::from(!self.items.is_empty());
        let (lower, upper) = self.stream.size_hint();
        let lower = (lower / self.max_size).saturating_add(collected);
        (lower, upper.and_then(|upper| upper.checked_add(collected)))
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for ChunksTimeout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunksTimeout")
            .field("stream", &self.stream)
            .field("collected", &self.items.len())
            .finish_non_exhaustive()
    }
}
