//! Panics of user code that must not end the loop.
//!
//! The panic of a task goes to its join handle. The panics of wakers and of destructors are
//! caught here and discarded, because there is no handle for them. The panic hook has
//! reported them by then.

use std::any::Any;
use std::fmt;
use std::io::{self, Write as _};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::task::Waker;

/// Calls `f`, catches a panic, and returns whether there was one.
#[inline]
pub fn caught(f: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => false,
        Err(payload) => {
            discard(payload);
            true
        }
    }
}

/// A value whose destructor is user code, such as a waker, or nothing. Dropping it catches a
/// panic of the destructor.
pub(crate) struct UserValue<T>(Option<T>);

impl<T> UserValue<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// Returns the value, whose destructor may panic when the caller drops it.
    #[inline]
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl UserValue<Waker> {
    /// Wakes the waker, if there is one, and catches its panic.
    #[inline]
    pub(super) fn wake(mut self) {
        if let Some(waker) = self.0.take() {
            caught(|| waker.wake());
        }
    }

    /// Returns whether there is a waker, and it wakes the same task as `waker`.
    #[inline]
    pub(super) fn will_wake(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|own| own.will_wake(waker))
    }
}

impl<T: Clone> Clone for UserValue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for UserValue<T> {
    #[inline]
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Drop for UserValue<T> {
    #[inline]
    fn drop(&mut self) {
        // Most are empty when they are dropped.
        if self.0.is_some() {
            drop_caught(&mut self.0);
        }
    }
}

#[cold]
fn drop_caught<T>(value: &mut Option<T>) {
    let value = value.take();
    caught(|| drop(value));
}

impl<T> fmt::Debug for UserValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserValue").finish_non_exhaustive()
    }
}

/// A guard that aborts the process when it is dropped, which only a panic does. It is held
/// where a panic would leave memory in a state that safe code must not see.
#[derive(Debug)]
#[must_use = "dropping it aborts the process"]
pub(super) struct AbortOnPanic(());

impl AbortOnPanic {
    /// Begins a section in which no panic may propagate.
    #[inline]
    pub(super) fn begin() -> Self {
        Self(())
    }

    /// Ends the section.
    #[inline]
    pub(super) fn end(self) {
        mem::forget(self);
    }
}

impl Drop for AbortOnPanic {
    #[cold]
    fn drop(&mut self) {
        abort();
    }
}

/// Aborts the process, because of a panic after which memory must not be used.
#[cold]
pub(super) fn abort() -> ! {
    let line = "coreloop: a panic came out while the outcome of a task was being stored or \
                given away; this is a bug in coreloop, and the process is aborted";
    // `eprintln` would panic if it failed.
    let _ = writeln!(io::stderr().lock(), "{line}");
    process::abort()
}

/// The payload of a panic.
pub type Payload = Box<dyn Any + Send>;

/// Calls `f`, and returns its result, or the payload of its panic.
///
/// # Errors
///
/// Returns the payload if `f` panics.
#[inline]
pub fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// How many payloads [`discard`] drops, if the destructor of each panics with a further one.
const MOST: usize = 8;

/// Drops the payload of a panic, and catches a panic of its destructor.
#[cold]
pub fn discard(mut payload: Payload) {
    for _ in 0..MOST {
        match catch(|| drop(payload)) {
            Ok(()) => return,
            Err(again) => payload = again,
        }
    }
    // A destructor that always panics would be called for ever.
    mem::forget(payload);
}
