//! [`Shared`], a queue in memory with its clock and the calls that wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use coreloop_runtime::__panics;
use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::{Instant, timeout_at};
use coreloop_sync::Notify;

use super::state::{Limits, State, Time};
use super::waiters::Waiters;
use crate::engine::Function;
use crate::error::{Error, Kind};
use crate::secure::random;

/// A queue in memory.
#[derive(Debug)]
pub(super) struct Shared {
    started: Instant,
    state: RefCell<State>,
    /// The calls that wait for jobs.
    pub(super) waiters: Waiters,
    /// For each job whose outcome a call waits for: notified when it has ended.
    ends: RefCell<HashMap<u64, Rc<Notify>>>,
    /// Notified when the next event of the state may be earlier than before.
    changed: Rc<Notify>,
}

impl Shared {
    /// Creates an empty queue.
    pub(super) fn new(limits: Limits) -> Result<Rc<Self>, Error> {
        Handle::try_current().map_err(|error| Error::new(Kind::Engine, error.to_string()))?;
        let prefix = format!("{:016x}", u64::from_be_bytes(random()?));
        let shared = Rc::new(Self {
            started: Instant::now(),
            state: RefCell::new(State::new(prefix, limits)),
            waiters: Waiters::default(),
            ends: RefCell::default(),
            changed: Rc::default(),
        });
        spawn_hidden(watch(Rc::downgrade(&shared), Rc::clone(&shared.changed)));
        Ok(shared)
    }

    /// Calls `operation` with the state and the time, after the events that are due.
    pub(super) fn with<R>(&self, operation: impl FnOnce(&mut State, Time) -> R) -> R {
        let now = self.started.elapsed();
        let mut state = self.state.borrow_mut();
        let before = state.next_event();
        let ready = state.advance(now);
        let result = operation(&mut state, now);
        let after = state.next_event();
        drop(state);
        self.wake(&ready);
        let is_earlier = match (before, after) {
            (Some(before), Some(after)) => after < before,
            (None, after) => after.is_some(),
            (Some(_), None) => false,
        };
        if is_earlier {
            self.changed.notify_one();
        }
        result
    }

    /// Wakes a call for each job that has become ready, by the functions of these jobs.
    pub(super) fn wake(&self, functions: &[Rc<Function>]) {
        for function in functions {
            self.waiters.wake(function);
        }
    }

    /// Wakes a call for each of these functions of which a job is ready.
    pub(super) fn wake_for_ready(&self, functions: &[Function]) {
        for function in functions {
            if self.state.borrow().has_ready(function) {
                self.waiters.wake(function);
            }
        }
    }

    /// Returns what is notified when a job has ended.
    pub(super) fn end_of(&self, job: u64) -> Rc<Notify> {
        Rc::clone(self.ends.borrow_mut().entry(job).or_default())
    }

    /// Wakes the calls that wait for the outcome of a job.
    pub(super) fn ended(&self, job: u64) {
        let end = self.ends.borrow_mut().remove(&job);
        if let Some(end) = end {
            // The wakers may be user code.
            __panics::caught(|| end.notify_waiters());
        }
    }

    #[cfg(test)]
    pub(super) fn waiting_for_outcomes(&self) -> usize {
        self.ends.borrow().len()
    }

    /// Forgets a job if no call but this one waits for its outcome.
    pub(super) fn forget_end(&self, job: u64, end: &Rc<Notify>) {
        let mut ends = self.ends.borrow_mut();
        // A job that was dead and was put back has another one for the calls that came later.
        let is_own = ends.get(&job).is_some_and(|own| Rc::ptr_eq(own, end));
        // The map has one, and the caller.
        if is_own && Rc::strong_count(end) == 2 {
            ends.remove(&job);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Its task ends.
        self.changed.notify_one();
    }
}

/// Makes jobs ready when their delay has passed, or their lease has ended.
async fn watch(queue: Weak<Shared>, changed: Rc<Notify>) {
    loop {
        let Some(shared) = queue.upgrade() else {
            return;
        };
        // The events that are due happen before the operation.
        let next = shared.with(|state, _| state.next_event());
        let next = next.and_then(|time| shared.started.checked_add(time));
        drop(shared);
        match next {
            // Both ends of the wait mean the same.
            Some(time) => drop(timeout_at(time, changed.notified()).await),
            None => changed.notified().await,
        }
    }
}
