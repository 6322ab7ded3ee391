//! The lane: where a task runs the cleanups of guards that were dropped.
//!
//! # Invariants
//!
//! 1. Cleanups run one after the other, in the order in which the guards were
//!    dropped, in the task that dropped them.
//! 2. Nothing is borrowed while one is polled or dropped: it may drop guards in
//!    turn, which go to the end of the lane.
//! 3. The functions in `last` are called when no cleanup is left, also after cleanups
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
use crate::engine::panics::{self, Foreign, Payload};

/// The cleanups that a task has yet to run.
#[derive(Default)]
pub(crate) struct CleanupQueue {
    waiting: RefCell<VecDeque<Queued>>,
    /// None while it is polled too.
    pub(super) running: RefCell<Option<Queued>>,
    /// What is to be called when no cleanup is left.
    pub(super) last: RefCell<VecDeque<Box<dyn FnOnce()>>>,
    /// Not group of the task's tree, so never cancelled.
    pub(super) node: OnceCell<Rc<CancelNode>>,
    /// The generation of the cleanup that is being polled.
    pub(super) polled: Cell<Option<u64>>,
    open: Generations,
    /// Of the barriers that wait.
    barriers: RefCell<Vec<Foreign<Waker>>>,
}

/// A cleanup that has not finished.
pub(super) struct Queued {
    pub(super) cleanup: BoxedCleanup,
    pub(super) counted: Option<CountedCleanup>,
    pub(super) generation: u64,
}

/// What the queue does with a cleanup.
pub(crate) trait RunCleanup {
    /// Ready when the cleanup has finished or its time has passed; with its panic, if it
    /// panicked.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Payload>>;

    /// Reports a panic of this cleanup, for which there is no handle.
    fn report_panic(&self, panic: Payload);

    /// Lets the time limit begin again, for a cleanup that moves to another queue.
    fn forget_clock(self: Pin<&mut Self>);
}

/// A cleanup whose type does not matter.
pub(crate) type BoxedCleanup = Pin<Box<dyn RunCleanup>>;

impl CleanupQueue {
    #[inline]
    pub(super) fn push(&self, cleanup: BoxedCleanup, counted: Option<CountedCleanup>) {
        let generation = self.open.add(self.polled.get());
        self.waiting.borrow_mut().push_back(Queued {
            cleanup,
            counted,
            generation,
        });
    }

    /// Whether nothing is left to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.last.borrow().is_empty()
    }

    /// Whether a cleanup of this lane is being polled.
    pub(crate) fn is_polled(&self) -> bool {
        self.polled.get().is_some()
    }

    pub(super) fn take_next(&self) -> Option<Queued> {
        let running = self.running.take();
        running.or_else(|| self.waiting.borrow_mut().pop_front())
    }

    /// Counts a cleanup as ended, which was dropped.
    #[inline]
    pub(super) fn count_end(&self, generation: u64) {
        if self.open.end(generation) {
            self.wake_barriers();
        }
    }

    #[cold]
    fn wake_barriers(&self) {
        self.barriers.take().into_iter().for_each(Foreign::wake);
    }

    /// Calls the first of what is to be called last; false if there is none.
    pub(super) fn call_last(&self) -> bool {
        let last = self.last.borrow_mut().pop_front();
        last.map(panics::caught).is_some()
    }

    /// Drops the cleanups that are left, and reports each. No panic comes out, and what
    /// waits for the cleanups is woken.
    #[cold]
    pub(crate) fn abandon(&self) {
        loop {
            if let Some(next) = self.take_next() {
                let generation = next.generation;
                panics::caught(|| drop(next));
                self.count_end(generation);
            } else if !self.call_last() {
                return;
            }
        }
    }

    /// Whether nothing is left in it, so that another task may have it.
    pub(crate) fn is_unused(&mut self) -> bool {
        self.is_empty() && self.barriers.get_mut().is_empty()
    }

    /// The mark of a barrier that waits for the cleanups there are now. None inside a
    /// cleanup, because what a cleanup leaves runs after it.
    pub(crate) fn mark(&self) -> Option<u64> {
        (!self.is_polled()).then(|| self.open.mark())
    }

    /// Ready when nothing is left of what a barrier waits for.
    pub(crate) fn poll_mark(&self, mark: u64, cx: &Context<'_>) -> Poll<()> {
        if self.open.has_passed(mark) {
            return Poll::Ready(());
        }
        let waker = cx.waker();
        let is_noted = |noted: &Foreign<Waker>| noted.will_wake(waker);
        if !self.barriers.borrow().iter().any(is_noted) {
            let waker = Foreign::new(waker.clone());
            // Cloning a waker is user code, which may have turned the loop.
            if self.open.has_passed(mark) {
                return Poll::Ready(());
            }
            self.barriers.borrow_mut().push(waker);
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
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
