//! [`Channel`]: the state that the handles of a channel share.
//!
//! # Invariants
//!
//! 1. Nothing is borrowed while a waker or a value is cloned, woken or dropped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::error::SendError;
use super::ring::Ring;
use crate::endpoint_counts::EndpointCounts;

pub(super) struct Channel<T> {
    pub(super) ring: RefCell<Ring<T>>,
    pub(super) endpoints: EndpointCounts,
    pub(super) weak_senders: Cell<usize>,
}

impl<T> Channel<T> {
    pub(super) fn new(capacity: usize) -> Rc<Self> {
        Rc::new(Self {
            ring: RefCell::new(Ring::new(capacity)),
            endpoints: EndpointCounts::new(),
            weak_senders: Cell::new(0),
        })
    }

    #[inline]
    pub(super) fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let receivers = self.endpoints.receivers();
        if receivers == 0 {
            return Err(SendError(value));
        }
        // Dropped at the end, even if a waker panics.
        let _oldest = self.ring.borrow_mut().push(value, receivers);
        self.endpoints.waiting.notify_all();
        Ok(receivers)
    }
}
