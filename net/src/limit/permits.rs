//! Counted permits, and the queue of the futures that wait for one.
//!
//! # Invariants
//!
//! 1. `active` is the number of permits that exist. Together with the permits that are
//!    granted, they are never more than `max`, and exactly `max` while a future waits.
//! 2. A future that waits has a ticket, and its waker is in `waiting`. A permit that is
//!    returned is granted to the lowest ticket, which moves to `granted`, and the waker is
//!    woken. So each permit wakes one task, in the order in which they asked.
//! 3. A future that is dropped before it has taken the permit that it was granted passes the
//!    permit on.
//! 4. Nothing is borrowed while a waker is cloned, woken or dropped, because foreign wakers
//!    may call this module.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use coreloop_runtime::__panics::{catch, discard};
use coreloop_runtime::task::coop;

use super::ConnectionPermit;

pub(super) struct Permits {
    max: usize,
    active: Cell<usize>,
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    next_ticket: u64,
    waiting: BTreeMap<u64, Waker>,
    granted: BTreeSet<u64>,
}

impl Permits {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            active: Cell::new(0),
            queue: RefCell::default(),
        }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn active(&self) -> usize {
        self.active.get()
    }

    /// Takes a permit if one is left. Returns whether it did.
    pub(super) fn try_take(&self) -> bool {
        let taken = self.active.get() + self.queue.borrow().granted.len();
        let is_left = taken < self.max;
        if is_left {
            self.active.set(self.active.get() + 1);
        }
        is_left
    }

    /// Takes the permit that `ticket` was granted. Returns whether it was granted one.
    fn take_granted(&self, ticket: u64) -> bool {
        let was_granted = self.queue.borrow_mut().granted.remove(&ticket);
        if was_granted {
            self.active.set(self.active.get() + 1);
        }
        was_granted
    }

    pub(super) fn give_back(&self) {
        self.active.set(self.active.get() - 1);
        self.grant();
    }

    /// Grants a permit that is left to the future that has waited longest. If its waker
    /// panics, the permit is granted to the next future, and the panic is resumed after that.
    fn grant(&self) {
        let mut panicked = None;
        while let Some((ticket, waker)) = self.pop_waiting() {
            let woken = catch(|| waker.wake());
            let Err(payload) = woken else { break };
            match panicked {
                None => panicked = Some(payload),
                Some(_) => discard(payload),
            }
            if !self.queue.borrow_mut().granted.remove(&ticket) {
                // The permit was taken or passed on before the waker panicked.
                break;
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }

    fn pop_waiting(&self) -> Option<(u64, Waker)> {
        let mut queue = self.queue.borrow_mut();
        let (ticket, waker) = queue.waiting.pop_first()?;
        queue.granted.insert(ticket);
        Some((ticket, waker))
    }

    /// Appends a waker to the queue, and returns its ticket.
    fn enqueue(&self, waker: Waker) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.insert(ticket, waker);
        ticket
    }

    /// Returns whether `ticket` waits. If so, it waits with the waker of `cx` from now on.
    fn waits(&self, ticket: u64, cx: &Context<'_>) -> bool {
        match self.queue.borrow().waiting.get(&ticket) {
            Some(waker) if waker.will_wake(cx.waker()) => return true,
            Some(_) => {}
            None => return false,
        }
        let waker = cx.waker().clone();
        let mut queue = self.queue.borrow_mut();
        // The permit may have been granted while the waker was cloned.
        let Some(place) = queue.waiting.get_mut(&ticket) else {
            return false;
        };
        let before = std::mem::replace(place, waker);
        drop(queue);
        drop(before);
        true
    }

    /// Removes `ticket`, and passes on a permit that it was granted.
    fn leave(&self, ticket: u64) {
        let waker = self.queue.borrow_mut().waiting.remove(&ticket);
        let waited = waker.is_some();
        drop(waker);
        if !waited && self.queue.borrow_mut().granted.remove(&ticket) {
            self.grant();
        }
    }
}

/// A future of a permit.
pub(super) struct Acquire<'a> {
    permits: &'a Rc<Permits>,
    ticket: Option<u64>,
    /// A permit that was taken while the task had no budget left, to be returned later.
    permit: Option<ConnectionPermit>,
}

impl Acquire<'_> {
    pub(super) fn new(permits: &Rc<Permits>) -> Acquire<'_> {
        Acquire {
            permits,
            ticket: None,
            permit: None,
        }
    }

    /// Takes a permit, or joins the queue.
    fn poll_take(&mut self, cx: &Context<'_>) -> Poll<ConnectionPermit> {
        if let Some(ticket) = self.ticket {
            if self.permits.waits(ticket, cx) {
                return Poll::Pending;
            }
            self.ticket = None;
            if self.permits.take_granted(ticket) {
                return Poll::Ready(ConnectionPermit {
                    permits: Rc::clone(self.permits),
                });
            }
        }
        if let Some(permit) = ConnectionPermit::try_new(self.permits) {
            return Poll::Ready(permit);
        }
        let waker = cx.waker().clone();
        // A permit may have been given back while the waker was cloned.
        if let Some(permit) = ConnectionPermit::try_new(self.permits) {
            return Poll::Ready(permit);
        }
        self.ticket = Some(self.permits.enqueue(waker));
        Poll::Pending
    }
}

impl Future for Acquire<'_> {
    type Output = ConnectionPermit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionPermit> {
        let permit = match self.permit.take() {
            Some(permit) => permit,
            None => ready!(self.poll_take(cx)),
        };
        // Only now, because a task without budget would otherwise not join the queue.
        if coop::poll_proceed(cx).is_pending() {
            self.permit = Some(permit);
            return Poll::Pending;
        }
        Poll::Ready(permit)
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.permits.leave(ticket);
        }
    }
}
