//! What the handles of a channel share.
//!
//! # Invariants
//!
//! 1. Nothing is borrowed while a waker or a value is cloned, woken or dropped.
//! 2. A receiver is in `waiting` at most once, by the place that it holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::error::SendError;
use super::ring::Ring;
use crate::Notify;
use crate::listeners::Listeners;

pub(super) struct Channel<T> {
    pub(super) ring: RefCell<Ring<T>>,
    pub(super) senders: Cell<usize>,
    pub(super) weak_senders: Cell<usize>,
    pub(super) receivers: Cell<usize>,
    /// The receivers that wait for a value, or for the end.
    pub(super) waiting: Listeners,
    /// Told when the last receiver goes.
    pub(super) deserted: Notify,
}

impl<T> Channel<T> {
    pub(super) fn new(capacity: usize) -> Rc<Self> {
        Rc::new(Self {
            ring: RefCell::new(Ring::new(capacity)),
            senders: Cell::new(0),
            weak_senders: Cell::new(0),
            receivers: Cell::new(0),
            waiting: Listeners::new(),
            deserted: Notify::new(),
        })
    }

    #[inline]
    pub(super) fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let receivers = self.receivers.get();
        if receivers == 0 {
            return Err(SendError(value));
        }
        // Dropped at the end, panic or not.
        let _oldest = self.ring.borrow_mut().push(value, receivers);
        self.waiting.tell();
        Ok(receivers)
    }
}
