//! [`Channel`]: the state that the handles of a channel share.
//!
//! # Invariants
//!
//! 1. `version` counts the values. A receiver has seen the current value exactly
//!    if it has stored the current version.
//! 2. Nothing is borrowed while a waker or a value is woken, cloned or dropped,
//!    or while a closure of user code runs.

use std::cell::Cell;

use super::value::Value;
use crate::endpoint_counts::EndpointCounts;

pub(super) struct Channel<T> {
    pub(super) value: Value<T>,
    pub(super) version: Cell<u64>,
    pub(super) endpoints: EndpointCounts,
}

impl<T> Channel<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value: Value::new(value),
            version: Cell::new(0),
            endpoints: EndpointCounts::new(),
        }
    }

    /// Notifies the receivers of a new value.
    #[inline]
    pub(super) fn notify_receivers(&self) {
        self.version.set(self.version.get().wrapping_add(1));
        self.endpoints.waiting.notify_all();
    }
}
