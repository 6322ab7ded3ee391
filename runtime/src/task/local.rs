//! `task_local!`: a value that belongs to a task, or to a part of one.
//!
//! While a scope runs, its value lies in a thread-local slot, and whatever was
//! in the slot before lies in the scope. A scope that is a future swaps the two
//! at the start and the end of each poll, and around the drop of its future.
//!
//! # Invariants
//!
//! 1. The slot is borrowed for writing during a swap only, in which no code of
//!    the user's runs. It is borrowed for reading while a closure of
//!    [`LocalKey::with`] runs; the value cannot be taken away then, so a scope of
//!    the same key that starts meanwhile panics before it has swapped anything.
//! 2. Scopes end in the reverse order in which they start, panic or not. So a
//!    scope takes back its own value.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project_lite::pin_project;

/// Declares keys of values that belong to tasks.
///
/// Each key is a [`LocalKey`](crate::task::LocalKey), and has no value before
/// [`LocalKey::scope`](crate::task::LocalKey::scope) gives it one.
///
/// # Examples
///
/// ```
/// coreloop::task_local! {
///     /// Who is being served.
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
/// [`task_local!`](crate::task_local) declares it. A task that is spawned within
/// a scope is not part of it: give the value to a scope of that task's own.
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
    /// Makes `value` the value of the key wherever `future` is polled or
    /// dropped.
    ///
    /// The value is dropped with the result, after `future`; or
    /// [`take_value`](TaskLocalFuture::take_value) takes it.
    ///
    /// A [cleanup](crate::cleanup) runs later than the code that drops its guard, when
    /// the value may be gone. So cleanups do not see the values of the scopes that their
    /// guards were dropped in: move what they need into the guard, as with `user` here.
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
    /// The result panics if it is polled inside a closure of
    /// [`with`](LocalKey::with) of the same key.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            key: self,
            value: Some(value),
            future: Some(future),
            pinned: PhantomPinned,
        }
    }

    /// Makes `value` the value of the key while `f` runs, and drops it then.
    ///
    /// # Panics
    ///
    /// Inside a closure of [`with`](LocalKey::with) of the same key.
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

    /// Calls `f` with the value.
    ///
    /// As `f` borrows the value, no scope of the same key can run inside it.
    ///
    /// # Panics
    ///
    /// Outside of any scope of the key.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(AccessError(())) => {
                panic!("cannot access a task-local storage value without setting it first")
            }
        }
    }

    /// Calls `f` with the value, if there is one.
    ///
    /// As `f` borrows the value, no scope of the same key can run inside it.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of any scope of the key.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let result = self.slot.try_with(|slot| slot.borrow().as_ref().map(f));
        // A slot that is gone, as at the end of a thread, has no value either.
        result.ok().flatten().ok_or(AccessError(()))
    }

    /// Swaps `value` with what is in the slot, and back when the result drops.
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
    /// A clone of the value.
    ///
    /// # Panics
    ///
    /// Outside of any scope of the key.
    #[must_use]
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// A clone of the value, if there is one.
    ///
    /// # Errors
    ///
    /// [`AccessError`] outside of any scope of the key.
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
        // While the future is polled or dropped, that of the scope around it.
        value: Option<T>,
        // None when it is over.
        #[pin]
        future: Option<F>,
        #[pin]
        pinned: PhantomPinned,
    }

    impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() && mem::needs_drop::<F>() {
                // Where it cannot be swapped in, the future is dropped without.
                let _swapped = this.key.swap_in(this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value, unless that was done before.
    ///
    /// If the future is not over, it goes on without.
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
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let swapped = this.key.swap_in(this.value);
        let _swapped = swapped.unwrap_or_else(|refusal| refusal.panic());
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("`TaskLocalFuture` polled after completion");
        };
        let poll = future.poll(context);
        if poll.is_ready() {
            // With the value in sight, as when it is dropped unfinished.
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

/// A task-local key had no value: it was looked at outside of its scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task-local value not set")
    }
}

impl Error for AccessError {}

/// Takes a value out of the slot of its key, and puts back what was there.
struct Swapped<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<T>,
}

impl<T: 'static> Drop for Swapped<'_, T> {
    fn drop(&mut self) {
        // It succeeded when the scope began. A slot that is gone since took the
        // value with it.
        let _: Result<(), _> = self
            .key
            .slot
            .try_with(|slot| mem::swap(&mut *slot.borrow_mut(), self.value));
    }
}

/// Why a scope could not begin.
enum Refusal {
    Borrowed,
    Gone,
}

impl Refusal {
    #[cold]
    #[track_caller]
    fn panic(self) -> ! {
        match self {
            Refusal::Borrowed => panic!(
                "cannot enter a task-local scope while the task-local storage is borrowed; \
                 leave the closure of `with` first"
            ),
            Refusal::Gone => panic!(
                "cannot enter a task-local scope during or after destruction of the underlying \
                 thread-local"
            ),
        }
    }
}
