//! A limit on how deep the destructors of outputs are nested.
//!
//! The output of a task may own the handle of another task, whose output owns the handle of a
//! third, and so on. If each output were dropped inside the destructor of the one before, the
//! stack would grow with the number of tasks. So join handles count the destructors that they
//! call: each is a *level*. At most [`MAX_DEPTH`] levels are nested. Outputs that would be
//! dropped deeper wait in a queue, and are dropped one after another when the destructor of
//! the innermost level has returned.
//!
//! So an output has been dropped when the drop of its handle returns, except inside the
//! destructors of `MAX_DEPTH` other outputs.
//!
//! A task that is spawned after the shutdown of its loop, and is cancelled at once, counts as
//! a level too.
//!
//! # Invariants
//!
//! 1. The queue is empty unless the thread is inside [`MAX_DEPTH`] levels: the end of the
//!    innermost level empties it, even if its destructor panicked.
//! 2. Queued destructors are `'static`, because an output that borrows must be dropped at
//!    once.
//! 3. The queue is not borrowed while a destructor runs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};

use crate::engine::panics;

/// The maximum number of nested levels.
const MAX_DEPTH: u32 = 16;

type Queue = VecDeque<Box<dyn FnOnce()>>;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Needs no destructor, because an empty queue has no memory.
    static WAITING: ManuallyDrop<RefCell<Queue>> =
        const { ManuallyDrop::new(RefCell::new(VecDeque::new())) };
}

/// One level, until it is dropped: the destructor of one output may run.
#[must_use = "the level ends when it is dropped"]
pub(super) struct Level {
    depth: u32,
    /// Makes the type `!Send`.
    thread: PhantomData<*const ()>,
}

impl Level {
    /// Begins a level inside the current ones. Returns `None` if there are [`MAX_DEPTH`]
    /// already; the caller then has to postpone the destructor, as [`defer`] does.
    #[inline]
    pub(super) fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        if depth >= MAX_DEPTH {
            return None;
        }
        DEPTH.set(depth + 1);
        Some(Self {
            depth: depth + 1,
            thread: PhantomData,
        })
    }
}

impl Drop for Level {
    #[inline]
    fn drop(&mut self) {
        if self.depth == MAX_DEPTH {
            call_waiting();
        }
        DEPTH.set(self.depth - 1);
    }
}

/// Calls `destructor` when the innermost level ends, and catches its panic.
#[cold]
pub(super) fn defer(destructor: impl FnOnce() + 'static) {
    WAITING.with(|waiting| waiting.borrow_mut().push_back(Box::new(destructor)));
}

/// Drops a value: now, or if too many destructors are nested, when the innermost level ends.
/// A panic of its destructor is caught.
pub(crate) fn drop_nested<T: 'static>(value: T) {
    if let Some(_level) = Level::enter() {
        panics::caught(|| drop(value));
    } else {
        defer(move || drop(value));
    }
}

/// Calls the queued destructors, and those that they defer in turn, first in, first out.
#[cold]
fn call_waiting() {
    while let Some(destructor) = WAITING.with(|waiting| waiting.borrow_mut().pop_front()) {
        panics::caught(destructor);
    }
    drop(WAITING.with(|waiting| mem::take(&mut *waiting.borrow_mut())));
}

/// Makes the count of levels begin at zero until it is dropped. It is for a loop that is
/// driven inside a destructor, so that the outputs of its tasks are dropped at once.
#[must_use = "the count continues when it is dropped"]
pub(super) struct FreshDepth {
    before: u32,
}

impl FreshDepth {
    #[inline]
    pub(super) fn begin() -> Self {
        Self {
            before: DEPTH.replace(0),
        }
    }
}

impl Drop for FreshDepth {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(self.before);
    }
}
