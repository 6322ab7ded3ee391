//! What the handles of a channel share.
//!
//! # Invariants
//!
//! 1. `version` counts the values. A receiver has seen the current one exactly
//!    if it remembers that number.
//! 2. Nothing is borrowed while a waker or a value is woken, cloned or dropped,
//!    or while a closure of the user's runs.
//! 3. A receiver is in `waiting` at most once, by the place that it holds.

use std::cell::Cell;

use super::value::Value;
use crate::Notify;
use crate::listeners::Listeners;

pub(super) struct Channel<T> {
    pub(super) value: Value<T>,
    pub(super) version: Cell<u64>,
    pub(super) senders: Cell<usize>,
    pub(super) receivers: Cell<usize>,
    /// The receivers that wait for a change, or for the end.
    pub(super) waiting: Listeners,
    /// Told when the last receiver goes.
    pub(super) deserted: Notify,
}

impl<T> Channel<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value: Value::new(value),
            version: Cell::new(0),
            senders: Cell::new(0),
            receivers: Cell::new(0),
            waiting: Listeners::new(),
            deserted: Notify::new(),
        }
    }

    /// Tells the receivers of a new value.
    #[inline]
    pub(super) fn tell(&self) {
        self.version.set(self.version.get().wrapping_add(1));
        self.waiting.tell();
    }
}
