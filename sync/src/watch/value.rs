//! [`Value`]: a value that can be shared, replaced and changed in place.
//!
//! # Invariants
//!
//! 1. A `Ref` owns an `Rc` of the value. So the value is changed in place only while
//!    there is no `Ref`; then it is also replaced in place, without allocating.
//! 2. The value is out of its cell while a closure of user code changes it. If the
//!    closure uses the channel, it finds the cell empty, and panics.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;

pub(super) struct Value<T>(Cell<Option<Rc<T>>>);

/// The previous value. The caller drops it after everything else.
pub(super) enum Previous<T> {
    Owned {
        #[expect(dead_code, reason = "only to be dropped")]
        value: T,
    },
    Shared {
        #[expect(dead_code, reason = "only to be dropped")]
        value: Rc<T>,
    },
}

impl<T> Value<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Cell::new(Some(Rc::new(value))))
    }

    /// Returns the current value.
    #[inline]
    #[track_caller]
    pub(super) fn share(&self) -> Rc<T> {
        let value = self.take();
        self.0.set(Some(Rc::clone(&value)));
        value
    }

    /// Replaces the value, whether or not it is shared.
    #[inline]
    #[track_caller]
    pub(super) fn set(&self, value: T) -> Previous<T> {
        let mut current = self.take();
        let before = match Rc::get_mut(&mut current) {
            Some(current) => Previous::Owned {
                value: mem::replace(current, value),
            },
            None => Previous::Shared {
                value: mem::replace(&mut current, Rc::new(value)),
            },
        };
        self.0.set(Some(current));
        before
    }

    /// Changes the value in place. Panics if it is shared.
    #[inline]
    #[track_caller]
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut putting_back = PutBack {
            cell: &self.0,
            value: Some(self.take()),
        };
        match putting_back.value.as_mut().and_then(Rc::get_mut) {
            Some(value) => change(value),
            None => {
                drop(putting_back);
                held()
            }
        }
    }

    #[inline]
    #[track_caller]
    fn take(&self) -> Rc<T> {
        match self.0.take() {
            Some(value) => value,
            None => being_changed(),
        }
    }
}

/// Puts the value back, even if the closure that changes it panics.
struct PutBack<'a, T> {
    cell: &'a Cell<Option<Rc<T>>>,
    value: Option<Rc<T>>,
}

impl<T> Drop for PutBack<'_, T> {
    fn drop(&mut self) {
        self.cell.set(self.value.take());
    }
}

#[cold]
#[track_caller]
fn held() -> ! {
    panic!(
        "a watched value cannot be changed in place while a `watch::Ref` to it is held; drop \
         the `Ref` before (it must not live across an await), or use `Sender::send`"
    )
}

#[cold]
#[track_caller]
fn being_changed() -> ! {
    panic!(
        "a watched value was used by the closure that changes it; the closure may use only the \
         value that it is called with, and not the channel"
    )
}
