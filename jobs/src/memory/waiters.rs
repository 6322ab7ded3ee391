//! [`Waiters`], the calls that wait for a job of some functions.
//!
//! A job wakes the first call that wants its function and was not woken. A call that was woken,
//! and did not look, passes the wake on when it is dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use coreloop_sync::Notify;

use crate::engine::Function;

/// The calls that wait, in the order in which they began to.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    functions: Vec<Function>,
    is_woken: Cell<bool>,
    woken: Notify,
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    waiters: &'a Waiters,
    waiter: Rc<Waiter>,
}

impl Waiters {
    /// Adds a call, which waits for a job of one of these functions.
    pub(super) fn add(&self, functions: &[Function]) -> Waiting<'_> {
        let waiter = Rc::new(Waiter {
            functions: functions.to_vec(),
            is_woken: Cell::new(false),
            woken: Notify::new(),
        });
        self.waiting.borrow_mut().push_back(Rc::clone(&waiter));
        Waiting {
            waiters: self,
            waiter,
        }
    }

    /// Wakes a call that waits for a job of this function.
    pub(super) fn wake(&self, function: &Function) {
        let waiting = self.waiting.borrow();
        let wanted = waiting
            .iter()
            .find(|waiter| !waiter.is_woken.get() && waiter.functions.contains(function));
        let Some(waiter) = wanted.map(Rc::clone) else {
            return;
        };
        drop(waiting);
        waiter.is_woken.set(true);
        // The waker may be user code.
        coreloop_runtime::__panics::caught(|| waiter.woken.notify_one());
    }
}

impl Waiting<'_> {
    /// Waits until there may be a job. The call looks for one before it calls this, too.
    pub(super) async fn woken(&self) {
        self.waiter.woken.notified().await;
        self.waiter.is_woken.set(false);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.waiting.borrow_mut();
        waiting.retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
        drop(waiting);
        if self.waiter.is_woken.get() {
            for function in &self.waiter.functions {
                self.waiters.wake(function);
            }
        }
    }
}
