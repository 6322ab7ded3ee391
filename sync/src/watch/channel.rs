//! What the handles of a channel share.
//!
//! # Invariants
//!
//! 1. `version` counts the values. A receiver has seen the current one exactly
//!    if it remembers that number.
//! 2. Nothing is borrowed while a waker or a value is woken, cloned or dropped,
//!    or while a closure of the user's runs.

use std::cell::Cell;

use super::value::Value;
use crate::ends::Ends;

pub(super) struct Channel<T> {
    pub(super) value: Value<T>,
    pub(super) version: Cell<u64>,
    pub(super) ends: Ends,
}

impl<T> Channel<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value: Value::new(value),
            version: Cell::new(0),
            ends: Ends::new(),
        }
    }

    /// Tells the receivers of a new value.
    #[inline]
    pub(super) fn tell(&self) {
        self.version.set(self.version.get().wrapping_add(1));
        self.ends.waiting.tell();
    }
}
