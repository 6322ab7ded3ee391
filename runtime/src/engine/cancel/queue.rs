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
use std::panic::Location;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::engine::cancel::cleanup::{Cleanup, Running};
use crate::engine::cancel::counted::Counted;
use crate::engine::cancel::generations::Generations;
use crate::engine::cancel::node::Node;
use crate::engine::core::context;
use crate::engine::nesting;
use crate::engine::panics::{self, Foreign};

/// How many cleanups run before other tasks have their turn.
const MOST: u32 = 32;

/// The cleanups that a task has yet to run.
#[derive(Default)]
pub(crate) struct Lane {
    waiting: RefCell<VecDeque<Waiting>>,
    /// None while it is polled too.
    running: RefCell<Option<Begun>>,
    /// What is to be called when no cleanup is left.
    last: RefCell<VecDeque<Box<dyn FnOnce()>>>,
    /// Not part of the task's tree, so never cancelled.
    node: OnceCell<Rc<Node>>,
    /// The generation of the cleanup that is being polled.
    polled: Cell<Option<u64>>,
    open: Generations,
    /// Of the barriers that wait.
    barriers: RefCell<Vec<Foreign<Waker>>>,
}

/// A cleanup that is not begun.
struct Waiting {
    cleanup: Cleanup,
    counted: Option<Counted>,
    generation: u64,
}

/// A cleanup that is begun.
struct Begun {
    running: Running,
    counted: Option<Counted>,
    generation: u64,
}

impl From<Waiting> for Begun {
    fn from(waiting: Waiting) -> Begun {
        Begun {
            running: Running::new(waiting.cleanup),
            counted: waiting.counted,
            generation: waiting.generation,
        }
    }
}

impl Lane {
    #[inline]
    fn push(&self, cleanup: Cleanup) {
        let counted = Counted::by_current_part();
        let generation = self.open.add(self.polled.get());
        self.waiting.borrow_mut().push_back(Waiting {
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

    /// Runs what there is; ready when nothing is left. No panic comes out.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let node = self.node.get_or_init(Node::root);
        let _entered = node.enter();
        for _ in 0..MOST {
            let Some(mut next) = self.take_next() else {
                if self.call_last() {
                    continue;
                }
                return Poll::Ready(());
            };
            match self.poll_one(&mut next, context) {
                Poll::Pending => {
                    *self.running.borrow_mut() = Some(next);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(panic)) => next.running.tell_panic(panic),
            }
            let generation = next.generation;
            panics::caught(|| drop(next));
            self.count_end(generation);
        }
        if !self.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn take_next(&self) -> Option<Begun> {
        let begun = self.running.take();
        begun.or_else(|| {
            let next = self.waiting.borrow_mut().pop_front();
            next.map(Begun::from)
        })
    }

    fn poll_one(
        &self,
        next: &mut Begun,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), panics::Payload>> {
        let _inside = next.counted.as_ref().map(Counted::enter);
        self.polled.set(Some(next.generation));
        let polled = next.running.poll(context);
        self.polled.set(None);
        polled
    }

    /// Counts a cleanup as ended, which was dropped.
    #[inline]
    fn count_end(&self, generation: u64) {
        if self.open.end(generation) {
            self.wake_barriers();
        }
    }

    #[cold]
    fn wake_barriers(&self) {
        self.barriers.take().into_iter().for_each(Foreign::wake);
    }

    /// Calls the first of what is to be called last; false if there is none.
    fn call_last(&self) -> bool {
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
    pub(crate) fn poll_mark(&self, mark: u64, context: &Context<'_>) -> Poll<()> {
        if self.open.has_passed(mark) {
            return Poll::Ready(());
        }
        let waker = context.waker();
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

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.is_unused() {
            self.abandon();
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

/// Calls `call` when no cleanup is left of the task that runs, which is about to end.
pub(crate) fn after_cleanups(call: impl FnOnce() + 'static) {
    let upkeep = context::with_running(|event_loop| {
        let tasks = &event_loop.tasks;
        tasks.is_current_busy().then(|| tasks.current_upkeep())
    });
    match upkeep.flatten().flatten() {
        Some(upkeep) => upkeep.lane.last.borrow_mut().push_back(Box::new(call)),
        None => call(),
    }
}

/// Whether the code that runs is a cleanup in the lane of its task.
pub(crate) fn runs_cleanup() -> bool {
    let upkeep = context::with_running(|event_loop| event_loop.tasks.current_upkeep());
    upkeep
        .flatten()
        .is_some_and(|upkeep| upkeep.lane.is_polled())
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
pub(crate) fn hand_over(cleanup: Cleanup) {
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
    if let Some(cleanup) = cleanup {
        nesting::drop_nested(cleanup);
    }
}
