//! Counted permits with a fair queue: what stands under every lock.
//!
//! A mutex is one permit; a reader takes one of many, and a writer all of them.
//!
//! # Invariants
//!
//! 1. While `QUEUED` is set, only the request at the head of the queue may have the free
//!    permits, so a big request is not starved by small ones. It is set whenever a
//!    request waits.
//! 2. When no function of this module is on the stack, the request at the head of the
//!    queue is for more permits than are free: every function that frees permits, or
//!    takes the head out of the queue, calls `assign`.
//! 3. A permit is free, or in a node as `Grant::Given`, or held by the caller that
//!    acquired it.
//! 4. All of this holds whenever foreign code runs: a waker may call any function here.

mod acquire;
mod grant;

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::task::Waker;

use coreloop_runtime::task;

use crate::waiters::{Key, Waiters, Wakers};
use grant::{Grant, Request, Uncollected};

pub(crate) use acquire::Acquire;

/// The permits of one lock.
pub(crate) struct Permits {
    /// How many are free, above the flags.
    word: Cell<usize>,
    waiters: Waiters<Grant, Request>,
}

const CLOSED: usize = 1;
const QUEUED: usize = 1 << 1;
/// A request in the queue may have to take permits over although nothing wakes it, so it has
/// to be roused: see `grant`.
const ROUSES: usize = 1 << 2;
const SHIFT: u32 = 3;

/// Why there are no permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    Unavailable,
}

/// No more permits are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Permits {
    /// As many as tokio's semaphores have at most.
    pub(crate) const MAX: usize = usize::MAX >> SHIFT;

    /// `count` is at most `MAX`.
    pub(crate) const fn new(count: usize) -> Self {
        Self {
            word: Cell::new(count << SHIFT),
            waiters: Waiters::new(),
        }
    }

    /// How many permits a new request can have at once.
    pub(crate) fn available(&self) -> usize {
        let word = self.word.get();
        if word & QUEUED == 0 { self.free() } else { 0 }
    }

    /// How many permits are not held, including those that are being saved for the head
    /// of the queue.
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
        Acquire::new(self, count)
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
            .set((self.word.get() | CLOSED) & !(QUEUED | ROUSES));
        self.waiters.grant_all(Grant::Closed);
    }

    /// Gives free permits to the requests in the queue, in order.
    #[cold]
    fn assign(&self) {
        if self.word.get() & ROUSES != 0 {
            return self.assign_and_rouse();
        }
        let mut wakers = Wakers::new();
        self.serve(&mut wakers, |_| ());
        wakers.wake();
    }

    /// As [`assign`](Self::assign), and rouses the siblings of each request that was served,
    /// which look whether it is left behind.
    #[cold]
    fn assign_and_rouse(&self) {
        let mut wakers = Wakers::new();
        let mut served = Vec::new();
        self.serve(&mut wakers, |request| served.push(request));
        for request in served {
            self.rouse_siblings(request, &mut wakers);
        }
        if self.free() > 0 {
            // The head may take over what it needs beside the permits that are saved for it.
            self.waiters.take_head_waker(&mut wakers);
        }
        wakers.wake();
    }

    /// Rouses the first and the last request of the same task in the queue.
    fn rouse_siblings(&self, request: Request, wakers: &mut Wakers) {
        self.waiters
            .take_wakers(wakers, |other| request.is_sibling(other));
    }

    /// Gives free permits to the requests in the queue, in order, and calls `served` with
    /// each that got its permits.
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
            self.word.set(self.word.get() & !(QUEUED | ROUSES));
        }
    }

    /// Puts a request at the end of the queue that cannot have its permits at once. Returns
    /// whether a sibling of it has been given permits and not returned them yet.
    #[inline]
    fn enqueue(&self, request: Request, waker: Option<Waker>) -> (Key, bool) {
        let flags = flags_of(request, waker.as_ref());
        self.word.set(self.word.get() | flags);
        self.waiters
            .enqueue_beside(request, waker, |other| request.is_sibling(other))
    }

    /// As [`enqueue`](Self::enqueue), for a request that is in the queue already and was
    /// polled with this waker just now.
    fn stay_beside(&self, key: &Key, request: Request, waker: &Waker) -> bool {
        self.word
            .set(self.word.get() | flags_of(request, Some(waker)));
        self.waiters
            .stay_beside(key, request, |other| request.is_sibling(other))
    }

    /// Gives a request the permits that were acquired for it just now.
    #[inline]
    fn enqueue_given(&self, request: Request) -> Key {
        let given = Grant::Given(Uncollected::by(request, request.task));
        self.waiters.enqueue_granted(request, given)
    }

    /// Gives up a place in the queue, or what was granted there.
    #[cold]
    fn forfeit(&self, key: Key, request: Request) {
        match self.waiters.withdraw(key) {
            Ok(Grant::Given(_)) => self.release(request.count as usize),
            Ok(Grant::Closed) => {}
            Err(_waker) => {
                // The requests behind it may be for less, and there may be none. Its
                // waker is dropped last: that is foreign code.
                if self.word.get() & QUEUED != 0 {
                    self.assign();
                }
                // It may have been the one that was to look at its siblings again.
                if self.word.get() & ROUSES != 0 {
                    let mut wakers = Wakers::new();
                    self.rouse_siblings(request, &mut wakers);
                    wakers.wake();
                }
            }
        }
    }

    /// How many permits a request would have to take over from its siblings. None if they have
    /// been given fewer.
    fn missing(&self, key: Option<&Key>, request: Request) -> Option<usize> {
        let mut within_reach = 0;
        self.waiters.visit_granted(|other, grant| {
            if request.is_sibling(other) && matches!(grant, Grant::Given(_)) {
                within_reach += other.count as usize;
            }
        });
        // What is free is saved for the head of the queue.
        let saved = if self.waiters.is_first(key?) {
            self.free()
        } else {
            0
        };
        let missing = request.count as usize - saved;
        if missing > within_reach {
            // That may change when it becomes the head, or when more is saved for it then.
            self.word.set(self.word.get() | ROUSES);
            return None;
        }
        Some(missing)
    }

    /// Counts the permits of a request that has taken over permits of other requests, which
    /// are first in the queue again.
    #[cold]
    fn settle(&self, request: Request, others: &[(Request, Grant)]) {
        let given: usize = others.iter().map(|(it, _)| it.count as usize).sum();
        // If it was for more, it was the head of the queue, and the rest is free.
        let free = self.free() + given - request.count as usize;
        let flags = self.word.get() & ((1 << SHIFT) - 1);
        // Only the first of the others has a waker.
        let rouses = if others.len() > 1 { ROUSES } else { 0 };
        self.word.set((free << SHIFT) | flags | QUEUED | rouses);
        let taken = Taken {
            permits: self,
            count: request.count,
        };
        // What is free now may be enough for the others.
        self.assign();
        mem::forget(taken);
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

/// What is true of a queue with a request that has this waker.
#[inline]
fn flags_of(request: Request, waker: Option<&Waker>) -> usize {
    match waker {
        // The waker of a combinator, which polls a future only if that was woken.
        Some(waker) if request.task.is_some() && !task::is_of_task(waker) => QUEUED | ROUSES,
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

impl fmt::Debug for Permits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Permits")
            .field("available", &self.available())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
