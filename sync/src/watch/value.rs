//! The value, which can be looked at, replaced and changed in place.
//!
//! # Invariants
//!
//! 1. Whoever looks at the value holds a count of its `Rc`. So it is changed in
//!    place only while nobody looks, and replaced, without allocating, in place
//!    then too.
//! 2. It is out of its cell while it is being changed, which runs the user's
//!    code: whatever that calls finds the cell empty, and panics.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;

pub(super) struct Value<T>(Cell<Option<Rc<T>>>);

/// The value before, to be dropped by the caller when all else is done.
pub(super) enum Before<T> {
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

    /// The value as it is now.
    #[inline]
    #[track_caller]
    pub(super) fn look(&self) -> Rc<T> {
        let value = self.take();
        self.0.set(Some(Rc::clone(&value)));
        value
    }

    /// Replaces it, whether somebody looks at it or not.
    #[inline]
    #[track_caller]
    pub(super) fn set(&self, value: T) -> Before<T> {
        let mut current = self.take();
        let before = match Rc::get_mut(&mut current) {
            Some(current) => Before::Owned {
                value: mem::replace(current, value),
            },
            None => Before::Shared {
                value: mem::replace(&mut current, Rc::new(value)),
            },
        };
        self.0.set(Some(current));
        before
    }

    /// Changes it in place, which cannot be done while somebody looks at it.
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

/// Puts the value back, even if what changes it panics.
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
        "a watched value was used by the closure that changes it; the closure may use what it \
         is given, and not the channel"
    )
}
