//! [`RawSemaphore`]: counted permits with a fair queue, on which every lock is built.
//!
//! A mutex has one permit. In a reader-writer lock, a reader takes one of many permits, and a
//! writer takes all of them.
//!
//! # Invariants
//!
//! 1. While `QUEUED` is set, only the request at the head of the queue may take the free
//!    permits, so that small requests do not starve a large one. `QUEUED` is set whenever a
//!    request waits.
//! 2. When no function of this module is on the stack, the request at the head of the
//!    queue is for more permits than are free: every function that frees permits, or
//!    takes the head out of the queue, calls `assign`.
//! 3. A permit is free, or in a node as `Grant::Given`, or held by the caller that
//!    acquired it.
//! 4. All of this holds whenever user code runs: a waker may call any function here.

mod acquire;
mod grant;
mod permit;

use std::cell::Cell;
use std::fmt;
use std::task::Waker;

use coreloop_runtime::task;

use crate::waiters::{Key, Waiters, Wakers};
use grant::{Grant, Request, Uncollected};

pub(crate) use acquire::Acquire;
pub(crate) use permit::RawPermit;

/// The permits of one lock, and the queue of requests for them.
pub(crate) struct RawSemaphore {
    /// The number of free permits, above the flags.
    word: Cell<usize>,
    waiters: Waiters<Grant, Request>,
}

const CLOSED: usize = 1;
const QUEUED: usize = 1 << 1;
/// A request in the queue may have to take permits over although nothing wakes it, so it has
/// to be woken whenever a request of the same task is granted permits: see `grant`.
const WAKES_SIBLINGS: usize = 1 << 2;
const SHIFT: u32 = 3;

/// Why permits were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Unavailable,
}

/// The semaphore is closed, and grants no more permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl RawSemaphore {
    /// The maximum number of permits, which is also tokio's.
    pub(crate) const MAX: usize = usize::MAX >> SHIFT;

    /// `count` is at most `MAX`.
    pub(crate) const fn new(count: usize) -> Self {
        Self {
            word: Cell::new(count << SHIFT),
            waiters: Waiters::new(),
        }
    }

    /// Returns the number of permits that a new request can take without waiting.
    pub(crate) fn available(&self) -> usize {
        let word = self.word.get();
        if word & QUEUED == 0 { self.free() } else { 0 }
    }

    /// Returns the number of permits that are not held, including permits that are saved for
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

    /// Waits until `count` permits are granted, in turn.
    #[inline]
    pub(crate) fn acquire(&self, count: u32) -> Acquire<'_> {
        Acquire::new(self, count)
    }

    /// Releases permits, or adds new ones. At most `MAX` permits may be free.
    #[inline]
    pub(crate) fn release(&self, count: usize) {
        let word = self.word.get() + (count << SHIFT);
        self.word.set(word);
        if word & QUEUED != 0 {
            self.assign();
        }
    }

    /// Removes up to `count` of the available permits for good, and returns how many it
    /// removed.
    pub(crate) fn forget(&self, count: usize) -> usize {
        let forgotten = count.min(self.available());
        self.word.set(self.word.get() - (forgotten << SHIFT));
        forgotten
    }

    /// Refuses permits from now on, also to the requests in the queue.
    pub(crate) fn close(&self) {
        self.word
            .set((self.word.get() | CLOSED) & !(QUEUED | WAKES_SIBLINGS));
        self.waiters.grant_all(Grant::Closed);
    }

    /// Grants free permits to the requests in the queue, in order.
    #[cold]
    fn assign(&self) {
        if self.word.get() & WAKES_SIBLINGS != 0 {
            return self.assign_and_wake_siblings();
        }
        let mut wakers = Wakers::new();
        self.serve(&mut wakers, |_| ());
        wakers.wake();
    }

    /// Like [`assign`](Self::assign). Also wakes the siblings of each request that was
    /// granted its permits, so that they check whether it was left behind.
    #[cold]
    fn assign_and_wake_siblings(&self) {
        let mut wakers = Wakers::new();
        let mut served = Vec::new();
        self.serve(&mut wakers, |request| served.push(request));
        for request in served {
            self.take_sibling_wakers(request, &mut wakers);
        }
        if self.free() > 0 {
            // The head may take over what it needs in addition to the permits saved for it.
            self.waiters.take_head_waker(&mut wakers);
        }
        wakers.wake();
    }

    /// Takes the wakers of the first and the last request of the same task in the queue.
    fn take_sibling_wakers(&self, request: Request, wakers: &mut Wakers) {
        self.waiters
            .take_wakers(wakers, |other| request.is_sibling(other));
    }

    /// Grants free permits to the requests in the queue, in order, and calls `served` with
    /// each request that was granted its permits.
    #[inline]
    fn serve(&self, wakers: &mut Wakers, mut served: impl FnMut(Request)) {
        let running = task::try_id();
        let waits = self.waiters.grant_while(wakers, |request| {
            let count = request.count as usize;
            if self.free() < count {
                return None;
            }
            self.word.set(self.word.get() - (count << SHIFT));
            served(request);
            Some(Grant::Given(Uncollected::by(request, running)))
        });
        if !waits {
            self.word.set(self.word.get() & !(QUEUED | WAKES_SIBLINGS));
        }
    }

    /// Puts a request that has to wait at the end of the queue. Returns whether one of its
    /// siblings was granted permits that its future has not returned yet.
    #[inline]
    fn enqueue(&self, request: Request, waker: Option<Waker>) -> (Key, bool) {
        let flags = flags_of(request, waker.as_ref());
        self.word.set(self.word.get() | flags);
        self.waiters
            .enqueue_and_check(request, waker, |other| request.is_sibling(other))
    }

    /// Like [`enqueue`](Self::enqueue), for a request that is in the queue already, and was
    /// polled with this waker just now.
    fn update_and_check(&self, key: &Key, request: Request, waker: &Waker) -> bool {
        self.word
            .set(self.word.get() | flags_of(request, Some(waker)));
        self.waiters
            .update_and_check(key, request, |other| request.is_sibling(other))
    }

    /// Adds a request to the queue with permits that the caller acquired for it.
    #[inline]
    fn enqueue_given(&self, request: Request) -> Key {
        let given = Grant::Given(Uncollected::by(request, request.task));
        self.waiters.enqueue_granted(request, given)
    }

    /// Removes a request from the queue, and releases its permits if it was granted them.
    #[cold]
    fn withdraw(&self, key: Key, request: Request) {
        match self.waiters.withdraw(key) {
            Ok(Grant::Given(_)) => self.release(request.count as usize),
            Ok(Grant::Closed) => {}
            Err(_waker) => {
                // The requests behind it may be for fewer permits, or there may be none. Its
                // waker, which is user code, is dropped last.
                if self.word.get() & QUEUED != 0 {
                    self.assign();
                }
                // This request may have been the one that had to check its siblings again.
                if self.word.get() & WAKES_SIBLINGS != 0 {
                    let mut wakers = Wakers::new();
                    self.take_sibling_wakers(request, &mut wakers);
                    wakers.wake();
                }
            }
        }
    }

    /// Returns the number of permits that a request has to take over from its siblings, or
    /// `None` if they were granted fewer.
    fn missing(&self, key: Option<&Key>, request: Request) -> Option<usize> {
        let mut within_reach = 0;
        self.waiters.visit_granted(|other, grant| {
            if request.is_sibling(other) && matches!(grant, Grant::Given(_)) {
                within_reach += other.count as usize;
            }
        });
        // Free permits are saved for the head of the queue.
        let saved = if self.waiters.is_first(key?) {
            self.free()
        } else {
            0
        };
        let missing = request.count as usize - saved;
        if missing > within_reach {
            // That may change when the request becomes the head, and permits are saved for it.
            self.word.set(self.word.get() | WAKES_SIBLINGS);
            return None;
        }
        Some(missing)
    }

    /// Updates the count after a request took over the permits of other requests, which are
    /// first in the queue again.
    #[cold]
    fn finish_take_over(&self, request: Request, others: &[(Request, Grant)]) {
        let given: usize = others.iter().map(|(it, _)| it.count as usize).sum();
        // If the request was for more permits, it was the head of the queue, and the rest is
        // free.
        let free = self.free() + given - request.count as usize;
        let flags = self.word.get() & ((1 << SHIFT) - 1);
        // Only the first of the others has a waker.
        let wakes_siblings = if others.len() > 1 { WAKES_SIBLINGS } else { 0 };
        self.word
            .set((free << SHIFT) | flags | QUEUED | wakes_siblings);
        // If a waker panics, these permits are released.
        let taken = RawPermit::new(self, request.count as usize);
        // The permits that are free now may be enough for the others.
        self.assign();
        taken.forget();
    }
}

/// The flags of a queue that has a request with this waker.
#[inline]
fn flags_of(request: Request, waker: Option<&Waker>) -> usize {
    match waker {
        // The waker of a combinator, which polls a future only after that future was woken.
        Some(waker) if request.task.is_some() && !task::is_of_task(waker) => {
            QUEUED | WAKES_SIBLINGS
        }
        _ => QUEUED,
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

impl fmt::Debug for RawSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSemaphore")
            .field("available", &self.available())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
