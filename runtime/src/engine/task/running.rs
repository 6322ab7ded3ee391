//! The running scheduler: the scheduler of the loop that is inside a turn on this thread.
//!
//! The code of tasks and of cancellation gets the scheduler from here, and not by way of the
//! loop in [`context`](crate::engine::core::context), on which it does not depend.
//!
//! **Invariant:** only [`run`] sets `RUNNING`. It borrows the scheduler until it has restored
//! the former value, whether its function returns or panics.
#![expect(
    unsafe_code,
    reason = "a thread-local without a borrow flag; see the invariant above"
)]

use std::cell::Cell;
use std::ptr;

use crate::engine::task::scheduler::Scheduler;

thread_local! {
    static RUNNING: Cell<*const Scheduler> = const { Cell::new(ptr::null()) };
}

/// Calls `f` with the running scheduler. Returns `None` if no loop is inside a turn.
#[inline]
pub(crate) fn with_running<R>(f: impl FnOnce(&Scheduler) -> R) -> Option<R> {
    let running = RUNNING.get();
    // SAFETY: by the invariant, the scheduler is borrowed further up the stack.
    let tasks = unsafe { running.as_ref() }?;
    Some(f(tasks))
}

/// Calls `f` with `tasks` as the running scheduler.
pub(in crate::engine) fn run<R>(tasks: &Scheduler, f: impl FnOnce() -> R) -> R {
    /// Restores `RUNNING`.
    struct Leave {
        before: *const Scheduler,
    }

    impl Drop for Leave {
        fn drop(&mut self) {
            RUNNING.set(self.before);
        }
    }

    let _leave = Leave {
        before: RUNNING.replace(tasks),
    };
    f()
}
