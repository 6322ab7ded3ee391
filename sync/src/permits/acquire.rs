//! The future that waits for permits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::task::{self, coop};

use super::grant::{Grant, Request, Uncollected};
use super::{Closed, Permits, Refused};
use crate::waiters::{Choice, Key};

/// Ready with the permits, which are then the caller's to release.
///
/// What it was given and did not return is given back when it is dropped.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Acquire<'a> {
    permits: &'a Permits,
    count: u32,
    stage: Stage,
}

enum Stage {
    New,
    /// Without a key only while the request is being taken out of the queue.
    Queued(Option<Key>),
    Over,
}

impl<'a> Acquire<'a> {
    #[inline]
    pub(super) fn new(permits: &'a Permits, count: u32) -> Self {
        Self {
            permits,
            count,
            stage: Stage::New,
        }
    }
}

impl Future for Acquire<'_> {
    type Output = Result<(), Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if coop::poll_proceed(cx).is_pending() {
            self.keep_place();
            return Poll::Pending;
        }
        if matches!(self.stage, Stage::New) && self.permits.try_acquire(self.count).is_ok() {
            self.stage = Stage::Over;
            return Poll::Ready(Ok(()));
        }
        self.poll_slowly(cx)
    }
}

impl Acquire<'_> {
    #[cold]
    fn poll_slowly(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let polled = match self.stage {
            Stage::New => self.join_queue(cx),
            Stage::Queued(_) => self.poll_queued(cx),
            Stage::Over => panic!("polled after it was ready"),
        };
        if polled.is_ready() {
            self.stage = Stage::Over;
        }
        polled
    }

    fn join_queue(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        // Foreign code, before anything is looked at: it may acquire or close.
        let waker = cx.waker().clone();
        match self.permits.try_acquire(self.count) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(Refused::Closed) => return Poll::Ready(Err(Closed)),
            Err(Refused::Unavailable) => {}
        }
        let request = self.request();
        let (key, has_sibling) = self.permits.enqueue(request, Some(waker));
        self.stage = Stage::Queued(Some(key));
        if has_sibling {
            return self.look_at_siblings(request, cx);
        }
        Poll::Pending
    }

    fn poll_queued(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let permits = self.permits;
        if permits.is_closed() {
            // As in tokio, even if it was granted before that.
            self.leave();
            return Poll::Ready(Err(Closed));
        }
        let Stage::Queued(place) = &mut self.stage else {
            unreachable!("called in this stage only");
        };
        match permits.waiters.poll_remove(place, cx) {
            Poll::Ready(Grant::Given(_)) => return Poll::Ready(Ok(())),
            Poll::Ready(Grant::Closed) => return Poll::Ready(Err(Closed)),
            Poll::Pending => {}
        }
        let request = self.request();
        if let Stage::Queued(Some(key)) = &self.stage
            && permits.stay_beside(key, request, cx.waker())
        {
            return self.look_at_siblings(request, cx);
        }
        Poll::Pending
    }

    /// Takes over the permits of another request of the task if that was left behind, and
    /// wakes the task if that remains to be seen. Pending otherwise.
    #[cold]
    fn look_at_siblings(&mut self, request: Request, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let permits = self.permits;
        let Stage::Queued(place) = &mut self.stage else {
            unreachable!("called in this stage only");
        };
        let Some(missing) = permits.missing(place.as_ref(), request) else {
            return Poll::Pending;
        };
        let mut look_again = false;
        let mut left_behind = 0;
        let taken = permits.waiters.take_over(place, |other, grant| {
            let Grant::Given(uncollected) = grant else {
                return Choice::Leave;
            };
            if !request.is_sibling(other) {
                return Choice::Leave;
            }
            if !uncollected.are_left_behind() {
                look_again = true;
                return Choice::Leave;
            }
            left_behind += other.count as usize;
            if left_behind < missing {
                Choice::Take
            } else {
                Choice::TakeAsLast
            }
        });
        if !taken.is_empty() {
            permits.settle(request, &taken);
            return Poll::Ready(Ok(()));
        }
        if look_again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// For a poll that finds no budget: the request takes its place in the queue, with the
    /// permits if they can be had, which a later poll returns.
    #[cold]
    fn keep_place(&mut self) {
        if !task::may_queue() {
            return;
        }
        let request = self.request();
        let permits = self.permits;
        match &self.stage {
            Stage::New => {
                let key = match permits.try_acquire(self.count) {
                    Ok(()) => permits.enqueue_given(request),
                    // The task is woken already, so there is no waker to be kept.
                    Err(Refused::Unavailable) => permits.enqueue(request, None).0,
                    Err(Refused::Closed) => return,
                };
                self.stage = Stage::Queued(Some(key));
            }
            Stage::Queued(Some(key)) => permits.waiters.change_grant(key, |grant| {
                if let Grant::Given(uncollected) = grant {
                    // It is being polled, so it was not left behind.
                    *uncollected = Uncollected::by(request, request.task);
                }
            }),
            Stage::Queued(None) | Stage::Over => {}
        }
    }

    #[inline]
    fn request(&self) -> Request {
        Request {
            count: self.count,
            task: task::try_id(),
        }
    }

    #[inline]
    fn leave(&mut self) {
        if let Stage::Queued(key) = &mut self.stage
            && let Some(key) = key.take()
        {
            self.permits.forfeit(key, self.request());
        }
    }
}

impl Drop for Acquire<'_> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Acquire")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
