//! [`task_local!`](crate::task_local): a value that belongs to a task, or to a part of
//! one.
//!
//! While a scope runs, its value is in a thread-local slot, and the scope keeps the
//! value that was there before. A scope that is a future swaps the two at the start and
//! the end of each poll, and around the drop of its future.
//!
//! # Invariants
//!
//! 1. The slot is mutably borrowed only during a swap, in which no user code runs. It
//!    is immutably borrowed while a closure of [`LocalKey::with`] runs. The value
//!    cannot be replaced then, so a scope of the same key that starts meanwhile panics
//!    before it has swapped anything.
//! 2. Scopes end in the reverse order in which they start, even on a panic. So a scope
//!    takes back its own value.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project_lite::pin_project;

/// Declares keys of task-local values.
///
/// Each key is a [`LocalKey`](crate::task::LocalKey). It has no value until
/// [`LocalKey::scope`](crate::task::LocalKey::scope) sets one.
///
/// # Examples
///
/// ```
/// coreloop::task_local! {
///     /// The user that the task serves.
///     pub static USER: String;
///
///     static DEPTH: u32;
/// }
///
/// # coreloop::block_on(async {
/// let task = coreloop::spawn(USER.scope("ferris".to_owned(), async {
///     coreloop::task::yield_now().await;
///     USER.with(|user| user.len())
/// }));
/// assert_eq!(task.await.unwrap(), 6);
/// assert!(DEPTH.try_get().is_err());
/// # })
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty; $($rest:tt)*) => {
        $crate::task_local!($(#[$attribute])* $visibility static $name: $type);
        $crate::task_local!($($rest)*);
    };
    ($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty) => {
        $(#[$attribute])*
        $visibility static $name: $crate::task::LocalKey<$type> = {
            ::std::thread_local! {
                static SLOT: ::std::cell::RefCell<::std::option::Option<$type>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            $crate::task::LocalKey { slot: SLOT }
        };
    };
}

/// A key of a value that belongs to a task, or to a part of one.
///
/// Keys are declared with [`task_local!`](crate::task_local). A task that is spawned
/// within a scope does not inherit the value: give it to a scope around that task's own
/// future.
///
/// # Examples
///
/// ```
/// coreloop::task_local! {
///     static NUMBER: u32;
/// }
///
/// # coreloop::block_on(async {
/// NUMBER
///     .scope(1, async {
///         assert_eq!(NUMBER.get(), 1);
///         NUMBER.scope(2, async { assert_eq!(NUMBER.get(), 2) }).await;
///         assert_eq!(NUMBER.get(), 1);
///     })
///     .await;
/// # })
/// ```
pub struct LocalKey<T: 'static> {
    #[doc(hidden)]
    pub slot: thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    /// Sets the value of the key while `future` is polled or dropped.
    ///
    /// The value is dropped with the returned future, after `future`, unless
    /// [`take_value`](TaskLocalFuture::take_value) takes it.
    ///
    /// A [cleanup](crate::cleanup) runs later than the code that drops its guard, when
    /// the value may be gone. So cleanups do not see the values of the scopes that
    /// their guards were dropped in: move what they need into the guard, like `user`
    /// here.
    ///
    /// ```
    /// use coreloop::cleanup::{flush, defer};
    ///
    /// coreloop::task_local! {
    ///     static USER: String;
    /// }
    ///
    /// # coreloop::block_on(async {
    /// USER.scope("ferris".to_owned(), async {
    ///     let user = USER.with(Clone::clone);
    ///     drop(defer(async move {
    ///         assert_eq!(user, "ferris");
    ///         assert!(USER.try_get().is_err());
    ///     }));
    ///     flush().await;
    /// })
    /// .await;
    /// # })
    /// ```
    ///
    /// # Panics
    ///
    /// The returned future panics if it is polled inside a closure of
    /// [`with`](LocalKey::with) of the same key.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            key: self,
            value: Some(value),
            future: Some(future),
            pinned: PhantomPinned,
        }
    }

    /// Sets the value of the key while `f` runs, and then drops it.
    ///
    /// # Panics
    ///
    /// Panics inside a closure of [`with`](LocalKey::with) of the same key.
    ///
    /// # Examples
    ///
    /// ```
    /// coreloop::task_local! {
    ///     static NUMBER: u32;
    /// }
    ///
    /// assert_eq!(NUMBER.sync_scope(2, || NUMBER.get() + 1), 3);
    /// ```
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        let swapped = self.swap_in(&mut value);
        let _swapped = swapped.unwrap_or_else(|refusal| refusal.panic());
        f()
    }

    /// Calls `f` with a reference to the value.
    ///
    /// Because `f` borrows the value, no scope of the same key can run inside it.
    ///
    /// # Panics
    ///
    /// Panics outside the scopes of the key.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(AccessError(())) => {
                panic!("cannot access a task-local storage value without setting it first")
            }
        }
    }

    /// Calls `f` with a reference to the value, or returns an error if there is none.
    ///
    /// Because `f` borrows the value, no scope of the same key can run inside it.
    ///
    /// # Errors
    ///
    /// Returns [`AccessError`] outside the scopes of the key.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let result = self.slot.try_with(|slot| slot.borrow().as_ref().map(f));
        // A slot that has been destroyed, at the end of a thread, has no value either.
        result.ok().flatten().ok_or(AccessError(()))
    }

    /// Swaps `value` with the contents of the slot, and back when the result is
    /// dropped.
    fn swap_in<'a>(&'static self, value: &'a mut Option<T>) -> Result<Swapped<'a, T>, Refusal> {
        let swapped = self.slot.try_with(|slot| {
            let mut slot = slot.try_borrow_mut().map_err(|_| Refusal::Borrowed)?;
            mem::swap(&mut *slot, value);
            Ok(())
        });
        swapped.map_err(|_| Refusal::Gone)??;
        Ok(Swapped { key: self, value })
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// Returns a clone of the value.
    ///
    /// # Panics
    ///
    /// Panics outside the scopes of the key.
    #[must_use]
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// Returns a clone of the value, or an error if there is none.
    ///
    /// # Errors
    ///
    /// Returns [`AccessError`] outside the scopes of the key.
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`LocalKey::scope`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TaskLocalFuture<T: 'static, F> {
        key: &'static LocalKey<T>,
        // While the future is polled or dropped, the value of the scope around it.
        value: Option<T>,
        // `None` when the future has finished.
        #[pin]
        future: Option<F>,
        #[pin]
        pinned: PhantomPinned,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // No shared reference to the future, which may contain references to itself.
            let is_some = this.future.as_mut().as_pin_mut().is_some();
            if is_some && mem::needs_drop::<F>() {
                // If the value cannot be swapped in, the future is dropped without it.
                let _swapped = this.key.swap_in(this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value, or returns `None` if it was taken before.
    ///
    /// If the future has not finished, it continues without the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// coreloop::task_local! {
    ///     static COUNT: Cell<u32>;
    /// }
    ///
    /// # coreloop::block_on(async {
    /// let scope = COUNT.scope(Cell::new(1), async {
    ///     COUNT.with(|count| count.set(count.get() + 1));
    /// });
    /// coreloop::pin!(scope);
    /// scope.as_mut().await;
    /// assert_eq!(scope.take_value().map(Cell::into_inner), Some(2));
    /// # })
    /// ```
    #[must_use]
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().value.take()
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let swapped = this.key.swap_in(this.value);
        let _swapped = swapped.unwrap_or_else(|refusal| refusal.panic());
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("`TaskLocalFuture` polled after completion");
        };
        let poll = future.poll(cx);
        if poll.is_ready() {
            // The future is dropped with the value in the slot, as it is when it has
            // not finished.
            this.future.set(None);
        }
        poll
    }
}

impl<T: fmt::Debug + 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture")
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// An error returned when a task-local key is accessed outside its scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task-local value not set")
    }
}

impl Error for AccessError {}

/// Restores the slot of a key when it is dropped: its value goes back to the scope.
struct Swapped<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<T: 'static> Drop for Swapped<'_, T> {
    fn drop(&mut self) {
        // The swap succeeded when the scope began, so the slot is not borrowed. If the
        // slot has been destroyed since, the value was dropped with it.
        let _: Result<(), _> = self
            .key
            .slot
            .try_with(|slot| mem::swap(&mut *slot.borrow_mut(), self.value));
    }
}

/// The reason why a scope could not begin.
enum Refusal {
    Borrowed,
    Gone,
}

impl Refusal {
    #[cold]
    #[track_caller]
    fn panic(self) -> ! {
        match self {
            Self::Borrowed => panic!(
                "cannot enter a task-local scope while the task-local storage is borrowed; \
                 leave the closure of `with` first"
            ),
            Self::Gone => panic!(
                "cannot enter a task-local scope during or after destruction of the underlying \
                 thread-local"
            ),
        }
    }
}
