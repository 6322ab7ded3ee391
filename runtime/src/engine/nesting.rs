//! How deep the destructors of outputs are nested, and a bound of that.
//!
//! The output of a task may own the handle of another task, whose output owns a
//! further handle. Dropping each within the one before takes as much stack as there
//! are tasks. So the handles count the destructors that they call. [`MOST`] of them
//! may be nested; what is to be dropped deeper waits until the destructor of the
//! innermost level returns, and is dropped there, one after another.
//!
//! So an output has been dropped when the drop of its handle returns, except within
//! the destructors of `MOST` other outputs.
//!
//! Tasks that are refused in each other's destructors count as levels too.
//!
//! # Invariants
//!
//! 1. Nothing waits unless the thread is inside [`MOST`] levels: whatever leaves the
//!    last one empties the queue first, panic or not.
//! 2. What waits is `'static`, as an output that borrows must be dropped at once.
//! 3. The queue is not borrowed while a destructor runs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};

use crate::engine::panics;

/// How many destructors of outputs may be nested.
const MOST: u32 = 16;

type Queue = VecDeque<Box<dyn FnOnce()>>;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Without a destructor, because it has no memory while nothing waits.
    static WAITING: ManuallyDrop<RefCell<Queue>> =
        const { ManuallyDrop::new(RefCell::new(VecDeque::new())) };
}

/// One level: the destructor of one output may run until this is dropped.
#[must_use = "the level ends when it is dropped"]
pub(crate) struct Level {
    depth: u32,
    /// Stays on its thread.
    thread: PhantomData<*const ()>,
}

impl Level {
    /// Begins a level inside the ones that the thread is in, unless there are too many:
    /// then the caller has to leave the destructor for later, as [`defer`] does.
    #[inline]
    pub(crate) fn enter() -> Option<Level> {
        let depth = DEPTH.get();
        if depth >= MOST {
            return None;
        }
        DEPTH.set(depth + 1);
        Some(Level {
            depth: depth + 1,
            thread: PhantomData,
        })
    }
}

impl Drop for Level {
    #[inline]
    fn drop(&mut self) {
        if self.depth == MOST {
            call_waiting();
        }
        DEPTH.set(self.depth - 1);
    }
}

/// Calls `destructor` when the innermost level ends. A panic of it is caught.
#[cold]
pub(crate) fn defer(destructor: impl FnOnce() + 'static) {
    WAITING.with(|waiting| waiting.borrow_mut().push_back(Box::new(destructor)));
}

/// Drops a value that is not used any more: now, or if too many destructors are nested,
/// when the innermost level ends. A panic of its destructor is caught.
pub(crate) fn drop_nested<T: 'static>(value: T) {
    if let Some(_level) = Level::enter() {
        panics::caught(|| drop(value));
    } else {
        defer(move || drop(value));
    }
}

/// Calls what waits, and what these destructors defer, first in, first out.
#[cold]
fn call_waiting() {
    while let Some(destructor) = WAITING.with(|waiting| waiting.borrow_mut().pop_front()) {
        panics::caught(destructor);
    }
    drop(WAITING.with(|waiting| mem::take(&mut *waiting.borrow_mut())));
}

/// Counts from zero again until it is dropped: for a loop that is driven inside a
/// destructor, so that its tasks see their outputs dropped at once.
#[must_use = "the count continues when it is dropped"]
pub(crate) struct FreshDepth {
    before: u32,
}

impl FreshDepth {
    #[inline]
    pub(crate) fn begin() -> FreshDepth {
        FreshDepth {
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
