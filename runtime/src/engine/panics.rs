//! Panics of user code that the loop has to outlive.
//!
//! A task's panic goes to its join handle. The panics of wakers and destructors have no
//! handle to go to. The panic hook has reported them when they come here, and they end
//! here.

use std::any::Any;
use std::fmt;
use std::io::{self, Write as _};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::task::Waker;

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

/// A place for a value of the user's, a waker for instance. A panic of the value's
/// destructor does not come out where the place is dropped.
pub(crate) struct Foreign<T>(Option<T>);

impl<T> Foreign<T> {
    #[inline]
    pub(crate) fn new(value: T) -> Foreign<T> {
        Foreign(Some(value))
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// The value, whose destructor may panic where the caller drops it.
    #[inline]
    pub(crate) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl Foreign<Waker> {
    /// Wakes, if there is a waker. A panic of the waker does not come out.
    #[inline]
    pub(crate) fn wake(mut self) {
        if let Some(waker) = self.0.take() {
            caught(|| waker.wake());
        }
    }

    /// Whether there is a waker, and it wakes what `waker` does.
    #[inline]
    pub(crate) fn will_wake(&self, waker: &Waker) -> bool {
        self.0.as_ref().is_some_and(|own| own.will_wake(waker))
    }
}

impl<T: Clone> Clone for Foreign<T> {
    fn clone(&self) -> Foreign<T> {
        Foreign(self.0.clone())
    }
}

impl<T> Default for Foreign<T> {
    #[inline]
    fn default() -> Foreign<T> {
        Foreign(None)
    }
}

impl<T> Drop for Foreign<T> {
    #[inline]
    fn drop(&mut self) {
        // Most places are empty by then.
        if self.0.is_some() {
            drop_caught(&mut self.0);
        }
    }
}

#[cold]
fn drop_caught<T>(place: &mut Option<T>) {
    let value = place.take();
    caught(|| drop(value));
}

impl<T> fmt::Debug for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").finish_non_exhaustive()
    }
}

/// Aborts the process if a panic drops it. It is held where a panic would leave memory in
/// a state that safe code must not see.
#[derive(Debug)]
#[must_use = "dropping it aborts the process"]
pub(crate) struct AbortOnPanic(());

impl AbortOnPanic {
    /// From here on no panic may come out.
    #[inline]
    pub(crate) fn begin() -> AbortOnPanic {
        AbortOnPanic(())
    }

    /// From here on a panic may come out again.
    #[inline]
    pub(crate) fn end(self) {
        mem::forget(self);
    }
}

impl Drop for AbortOnPanic {
    #[cold]
    fn drop(&mut self) {
        abort();
    }
}

/// Aborts the process, because of a panic after which memory may not be touched.
#[cold]
pub(crate) fn abort() -> ! {
    let line = "coreloop: a panic came out while the outcome of a task was being stored or \
                given away; this is a bug in coreloop, and the process is aborted";
    // In one call, and not `eprintln`, which panics if it fails.
    let _ = writeln!(io::stderr().lock(), "{line}");
    process::abort()
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
        mem::forget(again);
    }
}
