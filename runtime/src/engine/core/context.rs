//! Which loop this thread is in: two pointers per thread, and more only while
//! loops are entered within each other. Beside them, how many cancel scopes.
//!
//! `CURRENT` is the loop that `spawn`, sockets and timers go to; it is set in a
//! task and by [`Runtime::enter`](crate::Runtime::enter). `RUNNING` is the loop
//! that is inside a turn. They differ while a loop is entered but not turning:
//! a wake must then make its descriptor readable, for it may be embedded in
//! another loop that waits for that.
//!
//! # Invariants
//!
//! 1. Each [`Entered`] owns one pointer, which owns one count of its `Rc`. The
//!    youngest one's is in `CURRENT`, that of any other in `BELOW`, at its
//!    place, which is null when that `Entered` has gone. So they may be dropped
//!    in any order, or leaked. `CURRENT` is null when there are none.
//! 2. `RUNNING` is set by [`run`] alone, which keeps the loop borrowed and sets
//!    it back before it returns, panic or not.
#![expect(
    unsafe_code,
    reason = "thread-locals without a destructor or a borrow flag; see the invariants above"
)]

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ptr;
use std::rc::Rc;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::nesting::FreshDepth;
use crate::engine::task::running;

thread_local! {
    static CURRENT: Cell<*const EventLoop> = const { Cell::new(ptr::null()) };
    static RUNNING: Cell<*const EventLoop> = const { Cell::new(ptr::null()) };
    /// Without a destructor, as it is without memory when nothing is entered.
    static BELOW: ManuallyDrop<RefCell<Vec<*const EventLoop>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    static SCOPE_DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// How many cancel scopes the code that runs is polled within.
///
/// A generator that yields out of a scope which it opened itself leaves that
/// open around whatever its consumer does next: the mistake of Python's PEP 789.
/// So a scope counts itself in around each poll of its body, a generator notes
/// the count when it is polled, and a yield compares. It is not the loop's, as
/// both run under foreign executors too, and a yield should look at one state.
#[inline]
pub(crate) fn scope_depth() -> u32 {
    SCOPE_DEPTH.get()
}

/// Counts a cancel scope in, while its body is polled.
#[derive(Debug)]
pub(crate) struct EnteredScope(());

impl EnteredScope {
    /// Enters one more scope.
    pub(crate) fn new() -> EnteredScope {
        SCOPE_DEPTH.set(SCOPE_DEPTH.get() + 1);
        EnteredScope(())
    }
}

impl Drop for EnteredScope {
    fn drop(&mut self) {
        SCOPE_DEPTH.set(SCOPE_DEPTH.get() - 1);
    }
}

/// The loop that was entered, if one was.
#[inline]
pub(crate) fn current() -> Option<Rc<EventLoop>> {
    // SAFETY: invariant 1.
    unsafe { counted(CURRENT.get()) }
}

/// The loop that is inside a turn on this thread; if none is, the loop that was entered.
///
/// What the runtime does for a task uses this: a task may hold the guard of another
/// runtime, so that another loop is the current one.
pub(crate) fn running_or_current() -> Option<Rc<EventLoop>> {
    // SAFETY: invariant 2, the pointer comes from the `Rc` that `run` borrows.
    unsafe { counted(RUNNING.get()) }.or_else(current)
}

/// Takes one more count of a loop, unless the pointer is null.
///
/// # Safety
///
/// The pointer is null, or comes from an `Rc` that exists.
#[inline]
unsafe fn counted(event_loop: *const EventLoop) -> Option<Rc<EventLoop>> {
    if event_loop.is_null() {
        return None;
    }
    // SAFETY: passed on to the caller.
    unsafe { Rc::increment_strong_count(event_loop) };
    // SAFETY: the count was taken just now.
    Some(unsafe { Rc::from_raw(event_loop) })
}

/// Calls `f` with the loop that was entered, if one was.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Rc<EventLoop>) -> R) -> Option<R> {
    // Counted, as `f` may leave the loop.
    current().map(|event_loop| f(&event_loop))
}

/// Calls `f` with the loop that was entered, if one was, and whether it is
/// inside a turn.
#[inline]
pub(crate) fn with_current_or_running<R>(f: impl FnOnce(&EventLoop, bool) -> R) -> Option<R> {
    let current = CURRENT.get();
    if current == RUNNING.get() {
        // Borrowed further up the stack, so it need not be counted.
        with_running(|event_loop| f(event_loop, true))
    } else {
        with_current(|event_loop| f(event_loop, false))
    }
}

/// Calls `f` with the loop that is inside a turn on this thread, if one is.
#[inline]
pub(crate) fn with_running<R>(f: impl FnOnce(&EventLoop) -> R) -> Option<R> {
    let running = RUNNING.get();
    // SAFETY: invariant 2, it is borrowed further up the stack.
    let event_loop = unsafe { running.as_ref() }?;
    Some(f(event_loop))
}

/// Says that something needs a runtime.
#[cold]
#[track_caller]
pub(crate) fn missing(what: &str) -> ! {
    panic!(
        "{what} called outside a coreloop runtime; call it in a task, in `block_on`, \
         or while a guard of `Runtime::enter` is held"
    )
}

/// Makes a loop the current one until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    /// How many were entered before.
    place: usize,
    /// Stays on its thread.
    thread: PhantomData<*const EventLoop>,
}

/// Makes `event_loop` the current one.
pub(crate) fn enter(event_loop: &Rc<EventLoop>) -> Entered {
    let counted = Rc::into_raw(Rc::clone(event_loop));
    let before = CURRENT.replace(counted);
    let place = if before.is_null() {
        0
    } else {
        BELOW.with(|below| {
            let mut below = below.borrow_mut();
            below.push(before);
            below.len()
        })
    };
    Entered {
        place,
        thread: PhantomData,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let counted = BELOW.with(|below| {
            let mut below = below.borrow_mut();
            if let Some(ours) = below.get_mut(self.place) {
                return mem::replace(ours, ptr::null());
            }
            let mut before: *const EventLoop = ptr::null();
            while before.is_null()
                && let Some(next) = below.pop()
            {
                before = next;
            }
            if below.is_empty() {
                *below = Vec::new();
            }
            CURRENT.replace(before)
        });
        // SAFETY: invariant 1, the count is this one's.
        drop(unsafe { Rc::from_raw(counted) });
    }
}

/// Calls `f` with `event_loop` current and running.
///
/// # Panics
///
/// If a loop is running on this thread already and `nested` is not granted.
#[track_caller]
pub(crate) fn run<R>(
    event_loop: &Rc<EventLoop>,
    nested: bool,
    f: impl FnOnce(&EventLoop) -> R,
) -> R {
    /// Sets `RUNNING` back.
    struct Leave {
        before: *const EventLoop,
    }

    impl Drop for Leave {
        fn drop(&mut self) {
            RUNNING.set(self.before);
        }
    }

    assert!(
        nested || RUNNING.get().is_null(),
        "cannot block on a runtime from within a runtime: this thread's loop would stand still; \
         `.await` the future or `spawn` it instead"
    );
    let _entered = enter(event_loop);
    let _nesting = FreshDepth::begin();
    let _leave = Leave {
        before: RUNNING.replace(Rc::as_ptr(event_loop)),
    };
    running::run(&event_loop.tasks, || f(event_loop))
}
