//! The lane: where a task runs the cleanups of guards that were dropped.
//!
//! # Invariants
//!
//! 1. Cleanups run one after the other, in the order in which the guards were
//!    dropped, in the task that dropped them.
//! 2. Nothing is borrowed while one is polled or dropped: it may drop guards in
//!    turn, which go to the end of the lane.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::closing::{Cleanup, Running};
use super::node::Node;
use crate::context;
use crate::panics::{self, Foreign};

/// So many cleanups run before other tasks have their turn.
const MOST: u32 = 32;

/// The cleanups that a task has yet to run.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    waiting: RefCell<VecDeque<Cleanup>>,
    /// None while it is polled too.
    running: RefCell<Option<Running>>,
    /// Not part of the task's tree, so never cancelled.
    node: OnceCell<Rc<Node>>,
    is_polled: Cell<bool>,
    pushed: Cell<u64>,
    over: Cell<u64>,
    /// Wait for one of them to be over.
    barriers: RefCell<Vec<Foreign<Waker>>>,
}

impl Lane {
    #[inline]
    pub(crate) fn push(&self, cleanup: Cleanup) {
        self.pushed.set(self.pushed.get() + 1);
        self.waiting.borrow_mut().push_back(cleanup);
    }

    /// Whether nothing is left to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.pushed.get() == self.over.get()
    }

    /// Runs what there is; ready when nothing is left. No panic comes out.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let node = self.node.get_or_init(Node::root);
        let _entered = node.enter();
        for _ in 0..MOST {
            let begun = self.running.take();
            let next = begun.or_else(|| {
                let next = self.waiting.borrow_mut().pop_front();
                next.map(Running::new)
            });
            let Some(mut next) = next else {
                return Poll::Ready(());
            };
            self.is_polled.set(true);
            let polled = next.poll(context);
            self.is_polled.set(false);
            match polled {
                Poll::Pending => {
                    *self.running.borrow_mut() = Some(next);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(panic)) => next.tell_panic(panic),
            }
            drop(next);
            self.count_one();
        }
        if !self.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn count_one(&self) {
        self.over.set(self.over.get() + 1);
        if !self.barriers.borrow().is_empty() {
            self.wake_barriers();
        }
    }

    #[cold]
    fn wake_barriers(&self) {
        self.barriers.take().into_iter().for_each(Foreign::wake);
    }

    /// Drops the cleanups that are left, and reports each. No panic comes out.
    #[cold]
    pub(crate) fn abandon(&self) {
        loop {
            let begun = self.running.take();
            let next = self.waiting.borrow_mut().pop_front();
            if begun.is_none() && next.is_none() {
                break;
            }
            panics::caught(|| drop(begun));
            panics::caught(|| drop(next));
        }
        // What waits for them waits for nothing any more.
        self.over.set(self.pushed.get());
        self.wake_barriers();
    }

    /// Whether it is as a new one, so that another task may have it.
    pub(super) fn is_unused(&mut self) -> bool {
        self.is_empty() && self.barriers.get_mut().is_empty()
    }

    /// How many cleanups it has been given; none to one that runs in it, which
    /// cannot wait for what comes after.
    pub(super) fn mark(&self) -> u64 {
        if self.is_polled.get() {
            0
        } else {
            self.pushed.get()
        }
    }

    /// Ready when so many are over.
    pub(super) fn poll_mark(&self, mark: u64, context: &Context<'_>) -> Poll<()> {
        if self.over.get() >= mark {
            return Poll::Ready(());
        }
        let waker = context.waker();
        let is_noted = |noted: &Foreign<Waker>| noted.will_wake(waker);
        if self.barriers.borrow().iter().any(is_noted) {
            return Poll::Pending;
        }
        let waker = Foreign::new(waker.clone());
        // Cloning a waker is user code, which may have turned the loop.
        if self.over.get() >= mark {
            return Poll::Ready(());
        }
        self.barriers.borrow_mut().push(waker);
        Poll::Pending
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.is_unused() {
            self.abandon();
        }
    }
}

/// Calls `tell` when the task that runs, and is about to be over, has run the
/// cleanups of its guards. If it is ended before, `tell` is dropped.
pub(crate) fn after_cleanups(tell: impl FnOnce() + 'static) {
    let busy = context::with_running(|event_loop| event_loop.tasks.is_current_busy());
    if busy == Some(true) {
        hand_over(Cleanup::new(async move { tell() }, None));
    } else {
        tell();
    }
}

/// Has the task that runs, and drops something that was made at `place`, run
/// `future` as a cleanup.
pub(crate) fn after_drop(
    place: &'static Location<'static>,
    future: impl Future<Output = ()> + 'static,
) {
    hand_over(Cleanup::new(future, Some(place)));
}

/// Has a cleanup run by the task that runs; outside of tasks, by one of its own.
#[inline]
pub(super) fn hand_over(cleanup: Cleanup) {
    let upkeep = context::with_running(|event_loop| event_loop.tasks.upkeep_for_cleanup());
    match upkeep.flatten() {
        // Moved once: see `twin` on reading what was just written.
        Some(upkeep) => upkeep.lane.push(cleanup),
        None => run_alone(cleanup),
    }
}

/// Makes a task of a cleanup; one that was refused is reported by its drop.
#[cold]
fn run_alone(cleanup: Cleanup) {
    let mut cleanup = Some(cleanup);
    let place = Location::caller();
    context::with_current_or_running(|event_loop, running| {
        if let Some(cleanup) = cleanup.take() {
            let mut alone = Running::new(cleanup);
            let future = std::future::poll_fn(move |context| match alone.poll(context) {
                Poll::Ready(Err(panic)) => {
                    alone.tell_panic(panic);
                    Poll::Ready(())
                }
                polled => polled.map(|_| ()),
            });
            drop(event_loop.spawn(future, place, running));
        }
    });
    drop(cleanup);
}
