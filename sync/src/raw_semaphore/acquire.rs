//! [`Acquire`]: the future that waits for permits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_runtime::task::{self, coop};

use super::grant::{Grant, Request, Uncollected};
use super::{Closed, RawSemaphore, Refused};
use crate::waiters::{Choice, Key};

/// A request for permits. Once it is ready, the caller has to release the permits.
///
/// Permits that it was granted and has not returned are released when it is dropped.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Acquire<'a> {
    semaphore: &'a RawSemaphore,
    count: u32,
    state: AcquireState,
}

enum AcquireState {
    New,
    /// In the queue. There is no key only while the request is being removed.
    Queued(Option<Key>),
    Finished,
}

impl<'a> Acquire<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a RawSemaphore, count: u32) -> Self {
        Self {
            semaphore,
            count,
            state: AcquireState::New,
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
        if matches!(self.state, AcquireState::New) && self.semaphore.try_acquire(self.count).is_ok()
        {
            self.state = AcquireState::Finished;
            return Poll::Ready(Ok(()));
        }
        self.poll_slowly(cx)
    }
}

impl Acquire<'_> {
    #[cold]
    fn poll_slowly(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let polled = match self.state {
            AcquireState::New => self.join_queue(cx),
            AcquireState::Queued(_) => self.poll_queued(cx),
            AcquireState::Finished => panic!("polled after it was ready"),
        };
        if polled.is_ready() {
            self.state = AcquireState::Finished;
        }
        polled
    }

    fn join_queue(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        // Cloned before anything is checked, because a clone is user code that may acquire
        // permits or close the semaphore.
        let waker = cx.waker().clone();
        match self.semaphore.try_acquire(self.count) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(Refused::Closed) => return Poll::Ready(Err(Closed)),
            Err(Refused::Unavailable) => {}
        }
        let request = self.request();
        let (key, has_sibling) = self.semaphore.enqueue(request, Some(waker));
        self.state = AcquireState::Queued(Some(key));
        if has_sibling {
            return self.check_siblings(request, cx);
        }
        Poll::Pending
    }

    fn poll_queued(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let semaphore = self.semaphore;
        if semaphore.is_closed() {
            // As in tokio, even if permits were granted before that.
            self.leave();
            return Poll::Ready(Err(Closed));
        }
        let AcquireState::Queued(place) = &mut self.state else {
            unreachable!("called in this state only");
        };
        match semaphore.waiters.poll_remove(place, cx) {
            Poll::Ready(Grant::Given(_)) => return Poll::Ready(Ok(())),
            Poll::Ready(Grant::Closed) => return Poll::Ready(Err(Closed)),
            Poll::Pending => {}
        }
        let request = self.request();
        if let AcquireState::Queued(Some(key)) = &self.state
            && semaphore.update_and_check(key, request, cx.waker())
        {
            return self.check_siblings(request, cx);
        }
        Poll::Pending
    }

    /// Takes over the permits of siblings that were left behind. If that is not certain yet,
    /// wakes the task, so that it checks again in its next poll. Pending otherwise.
    #[cold]
    fn check_siblings(&mut self, request: Request, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let semaphore = self.semaphore;
        let AcquireState::Queued(place) = &mut self.state else {
            unreachable!("called in this state only");
        };
        let Some(missing) = semaphore.missing(place.as_ref(), request) else {
            return Poll::Pending;
        };
        let mut check_again = false;
        let mut left_behind = 0;
        let taken = semaphore.waiters.take_over(place, |other, grant| {
            let Grant::Given(uncollected) = grant else {
                return Choice::Skip;
            };
            if !request.is_sibling(other) {
                return Choice::Skip;
            }
            if !uncollected.are_left_behind() {
                check_again = true;
                return Choice::Skip;
            }
            left_behind += other.count as usize;
            if left_behind < missing {
                Choice::Take
            } else {
                Choice::TakeLast
            }
        });
        if !taken.is_empty() {
            semaphore.finish_take_over(request, &taken);
            return Poll::Ready(Ok(()));
        }
        if check_again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Joins the queue in a poll that was refused by the budget. Permits that are available
    /// are granted at once, and a later poll returns them.
    #[cold]
    fn keep_place(&mut self) {
        if !task::may_queue() {
            return;
        }
        let request = self.request();
        let semaphore = self.semaphore;
        match &self.state {
            AcquireState::New => {
                let key = match semaphore.try_acquire(self.count) {
                    Ok(()) => semaphore.enqueue_given(request),
                    // The task is woken already, so no waker is needed.
                    Err(Refused::Unavailable) => semaphore.enqueue(request, None).0,
                    Err(Refused::Closed) => return,
                };
                self.state = AcquireState::Queued(Some(key));
            }
            AcquireState::Queued(Some(key)) => semaphore.waiters.change_grant(key, |grant| {
                if let Grant::Given(uncollected) = grant {
                    // This request is being polled, so it was not left behind.
                    *uncollected = Uncollected::by(request, request.task);
                }
            }),
            AcquireState::Queued(None) | AcquireState::Finished => {}
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
        if let AcquireState::Queued(key) = &mut self.state
            && let Some(key) = key.take()
        {
            self.semaphore.withdraw(key, self.request());
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
