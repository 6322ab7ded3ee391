//! [`WorkerState`], the value that the initializer of a pool has returned to the worker that
//! this thread is.

use std::any::{Any, type_name};
use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::rc::Rc;

/// A value for the jobs of one worker. It need not be `Send`.
#[derive(Clone)]
pub(crate) struct WorkerState {
    value: Rc<dyn Any>,
    type_name: &'static str,
}

thread_local! {
    /// The state of the worker that this thread is. It is borrowed only to copy or replace it.
    static STATE: RefCell<Option<WorkerState>> = const { RefCell::new(None) };
}

impl WorkerState {
    pub(crate) fn new<T: 'static>(value: T) -> Self {
        Self {
            value: Rc::new(value),
            type_name: type_name::<T>(),
        }
    }

    /// Makes this the state of the thread, for good. A thread that ends in an orderly way
    /// calls [`clear`] before, so that a panic of the value's destructor can be caught.
    pub(crate) fn install(self) {
        drop(replace(Some(self)));
    }
}

/// Runs `run` with `state` as the state of the thread. When it returns or panics, the state
/// before it is in place again.
pub(crate) fn with<R>(state: Option<WorkerState>, run: impl FnOnce() -> R) -> R {
    let _outer = Outer(replace(state));
    run()
}

/// Drops the state of the thread.
///
/// # Panics
///
/// Panics if the destructor of the value does.
pub(crate) fn clear() {
    drop(replace(None));
}

/// Returns the state of the thread if its type is `T`.
pub(super) fn get<T: 'static>() -> Option<Rc<T>> {
    current()?.value.downcast().ok()
}

/// Returns the name of the type of the thread's state.
pub(super) fn name_of_type() -> Option<&'static str> {
    Some(current()?.type_name)
}

/// Returns the state of the thread.
pub(crate) fn current() -> Option<WorkerState> {
    STATE.try_with(|state| state.borrow().clone()).ok()?
}

/// Sets the state of the thread, and returns the one before.
fn replace(state: Option<WorkerState>) -> Option<WorkerState> {
    // A thread that is ending keeps none.
    STATE
        .try_with(|current| mem::replace(&mut *current.borrow_mut(), state))
        .ok()?
}

/// The state to which the thread returns when this is dropped.
struct Outer(Option<WorkerState>);

impl Drop for Outer {
    fn drop(&mut self) {
        drop(replace(self.0.take()));
    }
}

impl fmt::Debug for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerState")
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
    }
}
