//! How a pool ends: it is closed, its jobs are run, cancelled or refused, its threads end, and
//! the tasks that wait for this end are woken.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use crate::engine::panics::UserValue;
use crate::engine::remote::pool::count::CountedJob;
use crate::engine::remote::pool::refusal::Refusal;
use crate::engine::remote::pool::{Pool, PoolState, cancel, refuse};
use crate::engine::remote::shared::Shared;

/// A task that waits for the end of a pool. It counts as a job, because the end of the pool
/// wakes it: a paused clock does not move until then.
pub(super) struct Waiting {
    waker: UserValue<Waker>,
    /// The last field, because the count goes down after the waker was woken.
    _counted: CountedJob,
}

/// The threads and tasks that have to be woken because a pool was closed.
#[must_use = "the threads and tasks wait for it"]
struct Closed {
    idle: Vec<Thread>,
    waiting: Vec<Waiting>,
}

impl Pool {
    /// Closes the pool: cancels the jobs in the queue, ends the idle threads, and makes
    /// `queue` return jobs from now on.
    pub(crate) fn close(&self) {
        let (queue, closed) = {
            let mut state = self.lock();
            (mem::take(&mut state.queue), state.close())
        };
        closed.wake();
        cancel(queue);
    }

    /// Closes the pool, but lets the jobs in the queue run first.
    pub(crate) fn close_when_empty(&self) {
        let closed = self.lock().close();
        closed.wake();
    }

    /// Closes the pool because this thread, which was just started, cannot run jobs. Refuses
    /// the jobs in the queue. The thread then calls `thread_ended`.
    pub(super) fn close_as_broken(&self, refusal: &Refusal) {
        let (queue, closed) = {
            let mut state = self.lock();
            state.threads -= 1;
            state.ending += 1;
            (mem::take(&mut state.queue), state.close())
        };
        closed.wake();
        refuse(queue, refusal);
    }

    /// Records that a thread has ended, for which `next` returned `None`.
    pub(super) fn thread_ended(&self) {
        let waiting = {
            let mut state = self.lock();
            state.ending -= 1;
            state.take_waiting_if_ended()
        };
        wake(waiting);
    }

    /// Returns `Ready` if the pool was closed and its last thread has ended. Otherwise keeps
    /// the waker of `cx`, and counts it as a job of `home`.
    pub(crate) fn poll_ended(&self, cx: &Context<'_>, home: &Arc<Shared>) -> Poll<()> {
        let waiting = Waiting {
            waker: UserValue::new(cx.waker().clone()),
            _counted: CountedJob::new(Arc::clone(home)),
        };
        let mut state = self.lock();
        let (poll, unused) = if state.has_ended() {
            (Poll::Ready(()), Some(waiting))
        } else if state.is_waiting(cx.waker()) {
            (Poll::Pending, Some(waiting))
        } else {
            state.waiting.push(waiting);
            (Poll::Pending, None)
        };
        drop(state);
        drop(unused);
        poll
    }
}

impl PoolState {
    fn close(&mut self) -> Closed {
        self.closed = true;
        Closed {
            idle: mem::take(&mut self.idle),
            waiting: self.take_waiting_if_ended(),
        }
    }

    pub(super) fn take_waiting_if_ended(&mut self) -> Vec<Waiting> {
        if self.has_ended() {
            mem::take(&mut self.waiting)
        } else {
            Vec::new()
        }
    }

    fn has_ended(&self) -> bool {
        self.closed && self.threads == 0 && self.ending == 0
    }

    fn is_waiting(&self, waker: &Waker) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|waiting| waiting.waker.will_wake(waker))
    }
}

impl Closed {
    fn wake(self) {
        for thread in self.idle {
            thread.unpark();
        }
        wake(self.waiting);
    }
}

pub(super) fn wake(waiting: Vec<Waiting>) {
    for Waiting {
        waker,
        _counted: counted,
    } in waiting
    {
        waker.wake();
        drop(counted);
    }
}
