//! The current loop and the running loop of each thread, and the depth of cancel scopes.
//!
//! The current loop is the one that `spawn`, sockets and timers use. It is set in a task and
//! by [`Runtime::enter`](crate::Runtime::enter). The running loop is the one that is inside a
//! turn. They differ while a loop is entered but not inside a turn. A wake must then make the
//! loop's descriptor readable, because the loop may be embedded in another loop, which waits
//! for that.
//!
//! # Invariants
//!
//! 1. Each [`Entered`] owns one pointer, which owns one count of its `Rc`. The pointer of the
//!    youngest `Entered` is in `CURRENT`, which is null if there is none. The pointer of any
//!    other is in `BELOW`, at the index `index`; it is null if that `Entered` was dropped. So
//!    they may be dropped in any order, or leaked.
//! 2. Only [`run`] sets `RUNNING`. It borrows the loop until it has restored the former value,
//!    whether its function returns or panics.
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
use crate::engine::task::scheduler::Scheduler;

thread_local! {
    static CURRENT: Cell<*const EventLoop> = const { Cell::new(ptr::null()) };
    static RUNNING: Cell<*const EventLoop> = const { Cell::new(ptr::null()) };
    /// The loops that were entered before the current one. Needs no destructor, because it
    /// has no memory while no loop is entered.
    static BELOW: ManuallyDrop<RefCell<Vec<*const EventLoop>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    static SCOPE_DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Returns the number of cancel scopes within which the code that runs is polled.
///
/// A generator that yields inside a scope which it opened itself leaves the scope open around
/// the code of its consumer: the mistake that Python's PEP 789 describes. So a scope adds
/// itself to this count around each poll of its body, a generator remembers the count when it
/// is polled, and a yield compares the two. The count belongs to the thread and not to a loop,
/// because scopes and generators also run on other executors, and because a yield should read
/// one word only.
#[inline]
pub(crate) fn scope_depth() -> u32 {
    SCOPE_DEPTH.get()
}

/// Counts one more cancel scope until it is dropped, while the scope's body is polled.
#[derive(Debug)]
pub(crate) struct EnteredScope(());

impl EnteredScope {
    /// Enters a scope.
    pub(crate) fn new() -> Self {
        SCOPE_DEPTH.set(SCOPE_DEPTH.get() + 1);
        Self(())
    }
}

impl Drop for EnteredScope {
    fn drop(&mut self) {
        SCOPE_DEPTH.set(SCOPE_DEPTH.get() - 1);
    }
}

/// Returns the current loop, if there is one.
#[inline]
pub(crate) fn current() -> Option<Rc<EventLoop>> {
    // SAFETY: invariant 1.
    unsafe { counted(CURRENT.get()) }
}

/// Returns the running loop, or if no loop is running, the current one.
///
/// The runtime uses this where it acts for a task: the task may hold a guard of
/// `Runtime::enter`, which makes another loop the current one.
pub(crate) fn running_or_current() -> Option<Rc<EventLoop>> {
    // SAFETY: invariant 2, the pointer comes from the `Rc` that `run` borrows.
    unsafe { counted(RUNNING.get()) }.or_else(current)
}

/// Returns a new `Rc` of a loop, unless the pointer is null.
///
/// # Safety
///
/// The pointer is null, or comes from an `Rc` that still exists.
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

/// Calls `f` with the current loop. Returns `None` if there is none.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Rc<EventLoop>) -> R) -> Option<R> {
    // The loop is counted, because `f` may drop the last guard that keeps it.
    current().map(|event_loop| f(&event_loop))
}

/// Returns whether a loop is the current one.
pub(crate) fn is_current(event_loop: &Rc<EventLoop>) -> bool {
    CURRENT.get() == Rc::as_ptr(event_loop)
}

/// Returns whether the current loop is the running one. True also if there is neither.
#[inline]
pub(crate) fn is_current_running() -> bool {
    CURRENT.get() == RUNNING.get()
}

/// Calls `f`, which spawns tasks, with the scheduler of the current loop, and then wakes the
/// loop if it is not inside a turn. Returns `None` if there is no current loop.
#[inline]
pub(crate) fn spawn_on_current<R>(f: impl FnOnce(&Scheduler) -> R) -> Option<R> {
    if is_current_running() {
        // `run` borrows the loop further up the stack, so it need not be counted.
        with_running(|event_loop| f(&event_loop.tasks))
    } else {
        with_current(|event_loop| {
            let result = f(&event_loop.tasks);
            event_loop.wake_unless_running();
            result
        })
    }
}

/// Calls `f` with the running loop. Returns `None` if no loop is inside a turn.
#[inline]
pub(crate) fn with_running<R>(f: impl FnOnce(&EventLoop) -> R) -> Option<R> {
    let running = RUNNING.get();
    // SAFETY: invariant 2, `run` borrows the loop further up the stack.
    let event_loop = unsafe { running.as_ref() }?;
    Some(f(event_loop))
}

/// Panics because `what` was called outside a runtime.
#[cold]
#[track_caller]
pub(crate) fn missing(what: &str) -> ! {
    panic!(
        "{what} called outside a coreloop runtime; call it in a task, in `block_on`, \
         or while a guard of `Runtime::enter` is held"
    )
}

/// A guard that makes a loop the current one until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    /// The index in `BELOW` of this guard's pointer, while the guard is not the youngest.
    index: usize,
    /// Makes the type `!Send`.
    thread: PhantomData<*const EventLoop>,
}

/// Makes `event_loop` the current loop until the guard is dropped.
pub(crate) fn enter(event_loop: &Rc<EventLoop>) -> Entered {
    let counted = Rc::into_raw(Rc::clone(event_loop));
    let before = CURRENT.replace(counted);
    let index = if before.is_null() {
        0
    } else {
        BELOW.with(|below| {
            let mut below = below.borrow_mut();
            below.push(before);
            below.len()
        })
    };
    Entered {
        index,
        thread: PhantomData,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let counted = BELOW.with(|below| {
            let mut below = below.borrow_mut();
            if let Some(ours) = below.get_mut(self.index) {
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
        // SAFETY: invariant 1, the pointer owns a count, which this guard owned.
        drop(unsafe { Rc::from_raw(counted) });
    }
}

/// Calls `f` with `event_loop` as the current and the running loop.
///
/// # Panics
///
/// Panics if a loop is already running on this thread, unless `nested`.
#[track_caller]
pub(crate) fn run<R>(
    event_loop: &Rc<EventLoop>,
    nested: bool,
    f: impl FnOnce(&EventLoop) -> R,
) -> R {
    /// Restores `RUNNING`.
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
