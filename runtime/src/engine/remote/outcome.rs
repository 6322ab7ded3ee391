//! The slot in which an outcome goes from one thread to another.
//!
//! # Invariants
//!
//! 1. The outcome is stored once: by [`OutcomeSender::send`], or as "cancelled" by the
//!    sender's destructor.
//! 2. What is replaced or taken out of a slot is dropped, and wakers are cloned
//!    and woken, when the lock is free again.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::engine::id::Id;
use crate::engine::panics::{self, Foreign};
use crate::engine::remote::shared::Shared;
use crate::engine::task::error::JoinError;
use crate::engine::task::join::AbortHandle;

/// What a task or a job ended with.
type Outcome<T> = Result<T, JoinError>;

/// Where the outcome of a task or job is left.
pub(crate) struct OutcomeSlot<T> {
    id: Id,
    state: Mutex<SlotState<T>>,
}

struct SlotState<T> {
    outcome: Option<Outcome<T>>,
    waker: Foreign<Waker>,
    /// Nobody will take the outcome.
    detached: bool,
    stop: AbortTarget,
}

/// How to stop what the slot waits for.
pub(crate) enum AbortTarget {
    /// The task is on its way to the loop.
    NotYet,
    /// Likewise, and it is to be aborted when it is there.
    WhenItComes,
    Task(AbortHandle),
    /// A job in this runtime's pool.
    Job(Arc<Shared>),
    /// It is over.
    Over,
}

/// The end of a slot that is filled.
pub(crate) struct OutcomeSender<T> {
    slot: Arc<OutcomeSlot<T>>,
}

impl<T> OutcomeSlot<T> {
    /// An empty slot, for whatever goes by `id`.
    pub(crate) fn new(id: Id, stop: AbortTarget) -> (OutcomeSender<T>, Arc<OutcomeSlot<T>>) {
        let slot = Arc::new(OutcomeSlot {
            id,
            state: Mutex::new(SlotState {
                outcome: None,
                waker: Foreign::default(),
                detached: false,
                stop,
            }),
        });
        let sender = OutcomeSender {
            slot: Arc::clone(&slot),
        };
        (sender, slot)
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Takes the outcome, or notes who waits for it.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Outcome<T>> {
        {
            let mut state = lock(&self.state);
            if let Some(outcome) = state.outcome.take() {
                return Poll::Ready(outcome);
            }
            assert!(
                !matches!(state.stop, AbortTarget::Over),
                "RemoteJoinHandle polled after it gave the output of task {}",
                self.id
            );
            if state.waker.will_wake(cx.waker()) {
                return Poll::Pending;
            }
        }
        let waker = Foreign::new(cx.waker().clone());
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

    /// The outcome is nobody's from now on. Gives it back if it is there.
    fn detach(&self) -> Option<Outcome<T>> {
        let mut state = lock(&self.state);
        state.detached = true;
        let (outcome, waker) = (state.outcome.take(), mem::take(&mut state.waker));
        drop(state);
        drop(waker);
        outcome
    }

    /// Stores the outcome, or gives it back if nobody will take it.
    fn complete(&self, outcome: Outcome<T>) -> Option<Outcome<T>> {
        let mut state = lock(&self.state);
        let stop = mem::replace(&mut state.stop, AbortTarget::Over);
        if state.detached {
            drop(state);
            drop(stop);
            return Some(outcome);
        }
        state.outcome = Some(outcome);
        let waker = mem::take(&mut state.waker);
        drop(state);
        drop(stop);
        waker.wake();
        None
    }

    /// Notes that the task was made, and aborts it if that was asked for.
    pub(crate) fn started(&self, task: AbortHandle) {
        let mut state = lock(&self.state);
        match state.stop {
            AbortTarget::NotYet => state.stop = AbortTarget::Task(task),
            AbortTarget::WhenItComes => {
                state.stop = AbortTarget::Task(task.clone());
                drop(state);
                task.abort();
            }
            // Over, as nothing else comes this way.
            AbortTarget::Task(_) | AbortTarget::Job(_) | AbortTarget::Over => {
                drop(state);
                drop(task);
            }
        }
    }
}

/// A slot whose type is of no interest.
pub(crate) trait AnyOutcomeSlot: Send + Sync {
    fn id(&self) -> Id;
    fn is_finished(&self) -> bool;
    /// Aborts the task, or the job if it is not yet running.
    fn abort(&self);
    /// Drops the outcome if it is there, and otherwise has the task or job drop it.
    /// Returns what the task or job panicked with, if it did.
    fn give_up(&self) -> Option<panics::Payload>;
}

impl<T: Send> AnyOutcomeSlot for OutcomeSlot<T> {
    fn id(&self) -> Id {
        self.id
    }

    fn is_finished(&self) -> bool {
        matches!(lock(&self.state).stop, AbortTarget::Over)
    }

    fn abort(&self) {
        let mut state = lock(&self.state);
        match &state.stop {
            AbortTarget::NotYet => state.stop = AbortTarget::WhenItComes,
            AbortTarget::Task(task) => {
                let task = task.clone();
                drop(state);
                task.abort();
            }
            AbortTarget::Job(shared) => {
                let shared = Arc::clone(shared);
                drop(state);
                shared.pool.cancel(self.id);
            }
            AbortTarget::WhenItComes | AbortTarget::Over => {}
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
    pub(crate) fn slot(&self) -> &Arc<OutcomeSlot<T>> {
        &self.slot
    }

    pub(crate) fn id(&self) -> Id {
        self.slot.id
    }

    /// Stores the outcome and wakes who waits for it; gives it back if nobody
    /// will take it.
    pub(crate) fn send(self, outcome: Outcome<T>) -> Option<Outcome<T>> {
        self.slot.complete(outcome)
    }
}

impl<T> Drop for OutcomeSender<T> {
    fn drop(&mut self) {
        if !matches!(lock(&self.slot.state).stop, AbortTarget::Over) {
            drop(self.slot.complete(Err(JoinError::cancelled(self.slot.id))));
        }
    }
}

/// A poisoned lock is as good as any: nothing between lock and unlock can panic
/// half way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
