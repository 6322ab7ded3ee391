//! Counted permits with a fair queue: what stands under every lock.
//!
//! A mutex is one permit; a reader takes one of many, and a writer all of them.
//!
//! # Invariants
//!
//! 1. While `QUEUED` is set, the free permits are the head's to collect: nobody
//!    else takes any, so a big request is not starved by small ones. It is set
//!    whenever somebody waits.
//! 2. At rest, nobody waits for as many permits as are free: whoever frees
//!    permits, or takes the head out of the queue, calls `assign`.
//! 3. A permit is free, or in a node as `Grant::Given`, or in the hand of
//!    whoever acquired it.
//! 4. All of this holds whenever foreign code runs: a waker may come back.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::{self, coop};

use crate::waiters::{Key, Waiters, Wakers};

/// The permits of one lock.
pub(crate) struct Permits {
    /// How many are free, above the flags.
    word: Cell<usize>,
    waiters: Waiters<Grant, Request>,
}

const CLOSED: usize = 1;
const QUEUED: usize = 2;
const SHIFT: u32 = 2;

/// What a waiter waits for.
#[derive(Clone, Copy)]
struct Request {
    count: u32,
    /// The task that polled it last.
    task: Option<task::Id>,
}

#[derive(Clone, Copy)]
enum Grant {
    Given,
    Closed,
}

/// Why there are no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Unavailable,
}

/// Nobody gets permits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Permits {
    /// As many as tokio's semaphores have at most.
    pub(crate) const MAX: usize = usize::MAX >> 3;

    /// `count` is at most `MAX`.
    pub(crate) const fn new(count: usize) -> Self {
        Self {
            word: Cell::new(count << SHIFT),
            waiters: Waiters::new(),
        }
    }

    /// How many there are for whoever asks now.
    pub(crate) fn available(&self) -> usize {
        let word = self.word.get();
        if word & QUEUED == 0 { self.free() } else { 0 }
    }

    /// How many are in nobody's hand, those included that are being saved for
    /// the head of the queue.
    pub(crate) fn free(&self) -> usize {
        self.word.get() >> SHIFT
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.word.get() & CLOSED != 0
    }

    #[inline]
    pub(crate) fn try_acquire(&self, count: u32) -> Result<(), Refused> {
        let word = self.word.get();
        let taken = (count as usize) << SHIFT;
        if word & (CLOSED | QUEUED) == 0 && word >= taken {
            self.word.set(word - taken);
            return Ok(());
        }
        refuse(word, count)
    }

    /// Waits for its turn and for the permits.
    #[inline]
    pub(crate) fn acquire(&self, count: u32) -> Acquire<'_> {
        Acquire {
            permits: self,
            count,
            is_over: false,
            key: None,
        }
    }

    /// Gives permits back, or more than there were: at most `MAX` are free.
    #[inline]
    pub(crate) fn release(&self, count: usize) {
        let word = self.word.get() + (count << SHIFT);
        self.word.set(word);
        if word & QUEUED != 0 {
            self.assign();
        }
    }

    /// Takes up to so many free permits away for good, and says how many.
    pub(crate) fn forget(&self, count: usize) -> usize {
        let forgotten = count.min(self.available());
        self.word.set(self.word.get() - (forgotten << SHIFT));
        forgotten
    }

    /// Refuses permits from now on, also to those who wait.
    pub(crate) fn close(&self) {
        self.word.set((self.word.get() | CLOSED) & !QUEUED);
        self.waiters.grant_all(Grant::Closed);
    }

    /// Gives free permits to those who wait, in order.
    #[cold]
    fn assign(&self) {
        let mut wakers = Wakers::new();
        let waits = self.waiters.grant_while(&mut wakers, |request| {
            let count = request.count as usize;
            if self.free() < count {
                return None;
            }
            self.word.set(self.word.get() - (count << SHIFT));
            Some(Grant::Given)
        });
        if !waits {
            self.word.set(self.word.get() & !QUEUED);
        }
        wakers.wake();
    }

    /// Gives up a place in the queue, or what was granted there.
    #[cold]
    fn forfeit(&self, key: Key, count: u32) {
        match self.waiters.withdraw(key) {
            Ok(Grant::Given) => self.release(count as usize),
            Ok(Grant::Closed) => {}
            Err(_waker) => {
                // Those behind it may want less, and there may be none. Its
                // waker is dropped last: that is foreign code.
                if self.word.get() & QUEUED != 0 {
                    self.assign();
                }
            }
        }
    }

    /// After another future of the same task lost permits to this one, and is
    /// first in the queue again.
    ///
    /// The queue is fair between tasks. Between the futures of one task it must
    /// not be: the other may be one that the task does not poll any more, such
    /// as a branch of a `select!` whose other branch locks the same mutex; the
    /// task would wait for itself.
    #[cold]
    fn supplanted(&self, request: Request) {
        let taken = Taken {
            permits: self,
            count: request.count,
        };
        // It may want less than the one did who was first, and so be in luck.
        self.assign();
        mem::forget(taken);
    }
}

impl Request {
    /// Of the same task, and for as many.
    #[inline]
    fn is_alike(self, other: Request) -> bool {
        self.task.is_some() && self.task == other.task && self.count == other.count
    }
}

/// Releases what a panic of foreign code would lose.
struct Taken<'a> {
    permits: &'a Permits,
    count: u32,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.permits.release(self.count as usize);
    }
}

#[cold]
fn refuse(word: usize, count: u32) -> Result<(), Refused> {
    if word & CLOSED != 0 {
        Err(Refused::Closed)
    } else if count == 0 {
        Ok(())
    } else {
        Err(Refused::Unavailable)
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permits")
            .field("available", &self.available())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Ready with the permits, which are then the caller's to release.
///
/// What it was given and did not return goes back when it is dropped.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Acquire<'a> {
    permits: &'a Permits,
    count: u32,
    is_over: bool,
    /// There while it is in the queue.
    key: Option<Key>,
}

impl Future for Acquire<'_> {
    type Output = Result<(), Closed>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(coop::poll_proceed(cx));
        if self.key.is_none() && !self.is_over && self.permits.try_acquire(self.count).is_ok() {
            self.is_over = true;
            return Poll::Ready(Ok(()));
        }
        self.poll_slowly(cx)
    }
}

impl Acquire<'_> {
    #[cold]
    fn poll_slowly(&mut self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        assert!(!self.is_over, "polled after it was ready");
        let request = Request {
            count: self.count,
            task: task::try_id(),
        };
        let polled = if self.key.is_none() {
            self.join_queue(request, cx)
        } else if self.permits.is_closed() {
            // As in tokio, even if it was granted before that.
            self.leave();
            Poll::Ready(Err(Closed))
        } else {
            self.poll_queued(request, cx)
        };
        self.is_over = polled.is_ready();
        polled
    }

    fn join_queue(&mut self, request: Request, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let permits = self.permits;
        // Foreign code, before anything is looked at: it may acquire or close.
        let waker = cx.waker().clone();
        match permits.try_acquire(self.count) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(Refused::Closed) => return Poll::Ready(Err(Closed)),
            Err(Refused::Unavailable) => {}
        }
        let joined = permits
            .waiters
            .supplant_or_enqueue(request, waker, |other| request.is_alike(other));
        permits.word.set(permits.word.get() | QUEUED);
        match joined {
            Ok(_given) => {
                permits.supplanted(request);
                Poll::Ready(Ok(()))
            }
            Err(key) => {
                self.key = Some(key);
                Poll::Pending
            }
        }
    }

    fn poll_queued(&mut self, request: Request, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let permits = self.permits;
        match permits.waiters.poll_remove(&mut self.key, cx) {
            Poll::Ready(Grant::Given) => return Poll::Ready(Ok(())),
            Poll::Ready(Grant::Closed) => return Poll::Ready(Err(Closed)),
            Poll::Pending => {}
        }
        if request.task.is_none() {
            return Poll::Pending;
        }
        if let Some(key) = &self.key {
            // It may have moved to this task since it was polled last.
            permits.waiters.set_want(key, request);
        }
        if !permits.waiters.any_granted(|other| request.is_alike(other)) {
            return Poll::Pending;
        }
        let withdrawn = self.key.take().map(|key| permits.waiters.withdraw(key));
        let Some(Err(Some(waker))) = withdrawn else {
            unreachable!("it was pending just now, with a waker");
        };
        let taken = permits
            .waiters
            .supplant(waker, |other| request.is_alike(other));
        assert!(taken.is_ok(), "one was found just now");
        permits.word.set(permits.word.get() | QUEUED);
        permits.supplanted(request);
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.permits.forfeit(key, self.count);
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
