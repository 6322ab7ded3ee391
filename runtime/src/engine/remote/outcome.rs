//! [`OutcomeSlot`]: the place in which an outcome passes from one thread to another.
//!
//! # Invariants
//!
//! 1. The outcome is stored once: by [`OutcomeSender::send`], or as "cancelled" by the
//!    sender's destructor.
//! 2. Values that were replaced in a slot or taken out of it are dropped, and wakers are
//!    cloned and woken, while the lock is free.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::id::Id;
use crate::engine::panics::{self, UserValue};
use crate::engine::remote::pool::pool_ref::PoolRef;
use crate::engine::task::error::JoinError;
use crate::engine::task::join::AbortHandle;

/// The outcome of a task or a job.
type Outcome<T> = Result<T, JoinError>;

/// The place for the outcome of a task or job, shared by its sender and its handles.
pub(super) struct OutcomeSlot<T> {
    id: Id,
    state: Mutex<SlotState<T>>,
}

struct SlotState<T> {
    outcome: Option<Outcome<T>>,
    waker: UserValue<Waker>,
    /// Whether the handle was dropped, so that the outcome will not be taken.
    detached: bool,
    /// Also says whether the outcome was stored, even if it was taken since.
    abort_target: AbortTarget,
}

/// The way to abort the task or job of a slot.
pub(super) enum AbortTarget {
    /// The task is still a spawn request.
    NotSpawned,
    /// Likewise, and the task has to be aborted when it is spawned.
    AbortWhenSpawned,
    /// The task was spawned.
    Task(AbortHandle),
    /// A job in this pool.
    Job(PoolRef),
    /// The task or job has finished.
    Finished,
}

/// The side of a slot that stores the outcome. If it is dropped first, the outcome is
/// "cancelled".
pub(super) struct OutcomeSender<T> {
    slot: Arc<OutcomeSlot<T>>,
}

impl<T> OutcomeSlot<T> {
    /// Creates an empty slot for the task or job with this id.
    pub(super) fn new(id: Id, abort_target: AbortTarget) -> (OutcomeSender<T>, Arc<Self>) {
        let slot = Arc::new(Self {
            id,
            state: Mutex::new(SlotState {
                outcome: None,
                waker: UserValue::default(),
                detached: false,
                abort_target,
            }),
        });
        let sender = OutcomeSender {
            slot: Arc::clone(&slot),
        };
        (sender, slot)
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Takes the outcome, or keeps the waker of `cx`.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Outcome<T>> {
        {
            let mut state = lock(&self.state);
            if let Some(outcome) = state.outcome.take() {
                return Poll::Ready(outcome);
            }
            assert!(
                !matches!(state.abort_target, AbortTarget::Finished),
                "RemoteJoinHandle polled after it gave the output of task {}",
                self.id
            );
            if state.waker.will_wake(cx.waker()) {
                return Poll::Pending;
            }
        }
        let waker = UserValue::new(cx.waker().clone());
        let mut state = lock(&self.state);
        if let Some(outcome) = state.outcome.take() {
            drop(state);
            return Poll::Ready(outcome);
        }
        let before = mem::replace(&mut state.waker, waker);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Marks the outcome as one that will not be taken. Returns it if it is there.
    fn detach(&self) -> Option<Outcome<T>> {
        let mut state = lock(&self.state);
        state.detached = true;
        let (outcome, waker) = (state.outcome.take(), mem::take(&mut state.waker));
        drop(state);
        drop(waker);
        outcome
    }

    /// Stores the outcome, and wakes the handle. Returns the outcome if the slot is detached.
    fn complete(&self, outcome: Outcome<T>) -> Option<Outcome<T>> {
        let mut state = lock(&self.state);
        let abort_target = mem::replace(&mut state.abort_target, AbortTarget::Finished);
        if state.detached {
            drop(state);
            drop(abort_target);
            return Some(outcome);
        }
        state.outcome = Some(outcome);
        let waker = mem::take(&mut state.waker);
        drop(state);
        drop(abort_target);
        waker.wake();
        None
    }

    /// Records that the task was spawned, and aborts it if its handle has requested that.
    pub(super) fn started(&self, task: AbortHandle) {
        let mut state = lock(&self.state);
        match state.abort_target {
            AbortTarget::NotSpawned => state.abort_target = AbortTarget::Task(task),
            AbortTarget::AbortWhenSpawned => {
                state.abort_target = AbortTarget::Task(task.clone());
                drop(state);
                task.abort();
            }
            // It has finished: the other two do not occur here.
            AbortTarget::Task(_) | AbortTarget::Job(_) | AbortTarget::Finished => {
                drop(state);
                drop(task);
            }
        }
    }
}

/// An [`OutcomeSlot`] of any type, for handles that do not return the outcome.
pub(super) trait AnyOutcomeSlot: Send + Sync {
    fn id(&self) -> Id;
    fn is_finished(&self) -> bool;
    /// Aborts the task, or the job if it is not running yet.
    fn abort(&self);
    /// Drops the outcome, or makes the task or job drop it later if it is not there yet.
    /// Returns the payload instead if the outcome is a panic.
    fn give_up(&self) -> Option<panics::Payload>;
}

impl<T: Send> AnyOutcomeSlot for OutcomeSlot<T> {
    fn id(&self) -> Id {
        self.id
    }

    fn is_finished(&self) -> bool {
        matches!(lock(&self.state).abort_target, AbortTarget::Finished)
    }

    fn abort(&self) {
        let mut state = lock(&self.state);
        match &state.abort_target {
            AbortTarget::NotSpawned => state.abort_target = AbortTarget::AbortWhenSpawned,
            AbortTarget::Task(task) => {
                let task = task.clone();
                drop(state);
                task.abort();
            }
            AbortTarget::Job(pool) => {
                let pool = pool.clone();
                drop(state);
                pool.pool().cancel(self.id);
            }
            AbortTarget::AbortWhenSpawned | AbortTarget::Finished => {}
        }
    }

    fn give_up(&self) -> Option<panics::Payload> {
        match self.detach()? {
            Ok(output) => {
                panics::caught(|| drop(output));
                None
            }
            Err(error) => error.try_into_panic().ok(),
        }
    }
}

impl<T> OutcomeSender<T> {
    pub(super) fn slot(&self) -> &Arc<OutcomeSlot<T>> {
        &self.slot
    }

    pub(super) fn id(&self) -> Id {
        self.slot.id
    }

    /// Stores the outcome, and wakes the handle. Returns the outcome if the handle was
    /// dropped.
    pub(super) fn send(self, outcome: Outcome<T>) -> Option<Outcome<T>> {
        self.slot.complete(outcome)
    }
}

impl<T> Drop for OutcomeSender<T> {
    fn drop(&mut self) {
        if !matches!(lock(&self.slot.state).abort_target, AbortTarget::Finished) {
            drop(self.slot.complete(Err(JoinError::cancelled(self.slot.id))));
        }
    }
}

/// Locks a mutex, even if it is poisoned: no panic leaves the data half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
