//! Panics of user code that the loop has to outlive.
//!
//! A task's panic goes to its join handle. What is left are wakers and
//! destructors that panic, which nobody waits for: the panic hook has reported
//! them when they come here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`, and tells whether it panicked.
#[inline]
pub(crate) fn caught(f: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => false,
        Err(payload) => {
            discard(payload);
            true
        }
    }
}

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Calls `f`, and gives what it returned or panicked with.
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Drops a panic's payload, whose destructor may panic in turn.
#[cold]
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Whoever nests panics in payloads twice leaks the second one.
        std::mem::forget(again);
    }
}
