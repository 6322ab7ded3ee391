//! [`CleanupQueue`]: the cleanups of the guards that a task has dropped.
//!
//! # Invariants
//!
//! 1. Cleanups run one after the other, in the order in which the guards were
//!    dropped, in the task that dropped them.
//! 2. Nothing is borrowed while a cleanup is polled or dropped: it may drop guards in turn,
//!    whose cleanups go to the end of the queue.
//! 3. The functions in `callbacks` are called when no cleanup is left, also after cleanups
//!    were abandoned.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::engine::cancel::generations::Generations;
use crate::engine::cancel::group::CountedCleanup;
use crate::engine::cancel::node::CancelNode;
use crate::engine::panics::{self, Payload, UserValue};

/// The cleanups that a task has left to run.
#[derive(Default)]
pub(crate) struct CleanupQueue {
    /// The cleanups that were not polled yet.
    waiting: RefCell<VecDeque<Queued>>,
    /// The cleanup that was polled and has to wait. `None` also while a cleanup is polled.
    pub(super) running: RefCell<Option<Queued>>,
    /// The functions to call when no cleanup is left: see `run::after_cleanups`.
    pub(super) callbacks: RefCell<VecDeque<Box<dyn FnOnce()>>>,
    /// The node that is current while cleanups are polled. It is not in the tree of the task,
    /// so it is never cancelled.
    pub(super) node: OnceCell<Rc<CancelNode>>,
    /// The generation of the cleanup that is being polled.
    pub(super) polled: Cell<Option<u64>>,
    /// The number of unfinished cleanups, by generation.
    unfinished: Generations,
    /// The wakers of the futures that wait in `cleanup::flush`.
    flush_wakers: RefCell<Vec<UserValue<Waker>>>,
}

/// A cleanup in the queue.
pub(super) struct Queued {
    pub(super) cleanup: BoxedCleanup,
    /// Counts the cleanup in the group of its guard, if the guard was dropped in one.
    pub(super) counted: Option<CountedCleanup>,
    pub(super) generation: u64,
}

/// What the queue calls of a cleanup, whatever its future.
pub(crate) trait RunCleanup {
    /// Polls the cleanup. Ready when it has finished or its time has passed; with the panic,
    /// if it panicked.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Payload>>;

    /// Reports a panic of the cleanup, which no handle can return.
    fn report_panic(&self, panic: Payload);

    /// Makes the time limit start again, for a cleanup that moves to the queue.
    fn reset_time_limit(self: Pin<&mut Self>);
}

/// A cleanup with a future of any type.
pub(crate) type BoxedCleanup = Pin<Box<dyn RunCleanup>>;

impl CleanupQueue {
    /// Appends a cleanup. If a cleanup adds it, it belongs to the same generation.
    #[inline]
    pub(super) fn push(&self, cleanup: BoxedCleanup, counted: Option<CountedCleanup>) {
        let generation = self.unfinished.add(self.polled.get());
        self.waiting.borrow_mut().push_back(Queued {
            cleanup,
            counted,
            generation,
        });
    }

    /// Returns whether no cleanup and no callback is left.
    pub(super) fn is_empty(&self) -> bool {
        self.unfinished.is_empty() && self.callbacks.borrow().is_empty()
    }

    /// Returns whether a cleanup of this queue is being polled.
    pub(super) fn is_polled(&self) -> bool {
        self.polled.get().is_some()
    }

    /// Takes out the cleanup that has to wait, or the first one that was not polled.
    pub(super) fn take_next(&self) -> Option<Queued> {
        let running = self.running.take();
        running.or_else(|| self.waiting.borrow_mut().pop_front())
    }

    /// Counts a cleanup of this generation, which was dropped, as finished.
    #[inline]
    pub(super) fn count_finished(&self, generation: u64) {
        if self.unfinished.remove(generation) {
            self.wake_flushes();
        }
    }

    #[cold]
    fn wake_flushes(&self) {
        self.flush_wakers
            .take()
            .into_iter()
            .for_each(UserValue::wake);
    }

    /// Calls the first callback. Returns `false` if there is none.
    pub(super) fn call_next(&self) -> bool {
        let next = self.callbacks.borrow_mut().pop_front();
        next.map(panics::caught).is_some()
    }

    /// Drops the cleanups that are left, which reports each, and wakes what waits for them.
    /// Does not panic.
    #[cold]
    pub(super) fn abandon(&self) {
        loop {
            if let Some(next) = self.take_next() {
                let generation = next.generation;
                panics::caught(|| drop(next));
                self.count_finished(generation);
            } else if !self.call_next() {
                return;
            }
        }
    }

    /// Returns whether the queue is empty and no future waits for it, so that another task
    /// may use it.
    pub(super) fn is_unused(&mut self) -> bool {
        self.is_empty() && self.flush_wakers.get_mut().is_empty()
    }

    /// Returns a mark by which to wait for the unfinished cleanups; `None` inside a cleanup,
    /// because the cleanups that it adds run after it.
    pub(crate) fn mark(&self) -> Option<u64> {
        (!self.is_polled()).then(|| self.unfinished.mark())
    }

    /// Ready when the cleanups before the mark, and those that they added, have finished.
    pub(crate) fn poll_mark(&self, mark: u64, cx: &Context<'_>) -> Poll<()> {
        if self.unfinished.has_passed(mark) {
            return Poll::Ready(());
        }
        let waker = cx.waker();
        let is_kept = |kept: &UserValue<Waker>| kept.will_wake(waker);
        if !self.flush_wakers.borrow().iter().any(is_kept) {
            let waker = UserValue::new(waker.clone());
            // Cloning a waker runs user code, which may have run a turn of the loop.
            if self.unfinished.has_passed(mark) {
                return Poll::Ready(());
            }
            self.flush_wakers.borrow_mut().push(waker);
        }
        Poll::Pending
    }
}

impl Drop for CleanupQueue {
    fn drop(&mut self) {
        if !self.is_unused() {
            self.abandon();
        }
    }
}

impl fmt::Debug for CleanupQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleanupQueue")
            .field("unfinished", &self.unfinished)
            .finish_non_exhaustive()
    }
}
