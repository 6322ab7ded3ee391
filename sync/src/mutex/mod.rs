//! [`Mutex`]: a value for one task at a time, also across awaits.
//!
//! # Invariants
//!
//! 1. There is one permit. Only its holder borrows the value, so the borrow never
//!    fails, and it ends before the permit is released. The semaphore is never
//!    closed, so waiting for the permit never fails.
//! 2. The value is in the mutex whenever the permit is free. An owned guard takes
//!    the value out; such a guard also keeps the mutex alive, so `get_mut` and
//!    `into_inner` always find the value.

mod guard;
mod owned;

use std::cell::{RefCell, RefMut};
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use crate::raw_semaphore::RawSemaphore;

pub use guard::{MappedMutexGuard, MutexGuard};
pub use owned::OwnedMutexGuard;

/// A lock that gives one task at a time access to a value, also across awaits.
///
/// The lock is granted in the order of the requests, also to a task that has spent its
/// [budget](coreloop_runtime::task::coop): its request returns with the lock in the next turn.
/// There is one exception. If a task no longer polls a future that was granted the lock,
/// another future of the same task takes the lock over, so that a `select!` whose handler locks
/// the same mutex does not wait for ever. See [Futures that a task leaves
/// behind](crate#futures-that-a-task-leaves-behind).
///
/// On one thread, no other task changes a value between two awaits, so a `Cell` or
/// `RefCell` is often enough. A mutex protects a value that must not change *across*
/// an await: a connection that a request and its response need, or a file that is
/// read and then written.
///
/// A panic while the lock is held releases the lock, and does not poison the mutex.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// use coreloop::sync::Mutex;
/// use coreloop::task::yield_now;
///
/// coreloop::block_on(async {
///     let count = Rc::new(Mutex::new(0));
///     let tasks: Vec<_> = (0..10)
///         .map(|_| {
///             let count = Rc::clone(&count);
///             coreloop::spawn(async move {
///                 let mut guard = count.lock().await;
///                 let seen = *guard;
///                 yield_now().await;
///                 *guard = seen + 1;
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(*count.lock().await, 10);
/// });
/// ```
pub struct Mutex<T> {
    semaphore: RawSemaphore,
    value: RefCell<Option<T>>,
}

impl<T> Mutex<T> {
    /// Creates an unlocked mutex.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            semaphore: RawSemaphore::new(1),
            value: RefCell::new(Some(value)),
        }
    }

    /// Creates an unlocked mutex: [`new`](Self::new) by tokio's other name.
    #[must_use]
    pub const fn const_new(value: T) -> Self {
        Self::new(value)
    }

    /// Locks the mutex, and waits while it is locked.
    ///
    /// A task that has locked the mutex already would wait for itself; see
    /// [`ReentrantMutex`](super::ReentrantMutex).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::Mutex;
    ///
    /// coreloop::block_on(async {
    ///     let mutex = Mutex::new(1);
    ///     let mut guard = mutex.lock().await;
    ///     *guard = 2;
    /// });
    /// ```
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        let _ = self.semaphore.acquire(1).await;
        MutexGuard::new(self)
    }

    /// Locks the mutex if it is not locked.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] if the mutex is locked, or was granted to a task that
    /// has not run since.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::Mutex;
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// drop(guard);
    /// assert!(mutex.try_lock().is_ok());
    /// ```
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.semaphore
            .try_acquire(1)
            .map_err(|_| TryLockError(()))?;
        Ok(MutexGuard::new(self))
    }

    /// Locks the mutex with a guard that borrows nothing, and so can be kept
    /// in a struct or given to another task.
    ///
    /// The guard contains the value, which is moved into the guard and back. Put a
    /// large value in a `Box`, so that the moves are cheap.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use coreloop::sync::Mutex;
    ///
    /// coreloop::block_on(async {
    ///     let mutex = Rc::new(Mutex::new(1));
    ///     let mut guard = Rc::clone(&mutex).lock_owned().await;
    ///     coreloop::spawn(async move { *guard += 1 }).await.unwrap();
    ///     assert_eq!(*mutex.lock().await, 2);
    /// });
    /// ```
    pub async fn lock_owned(self: Rc<Self>) -> OwnedMutexGuard<T> {
        let _ = self.semaphore.acquire(1).await;
        OwnedMutexGuard::new(self)
    }

    /// Locks the mutex with a guard that borrows nothing, if the mutex is not
    /// locked. See [`lock_owned`](Self::lock_owned).
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] if [`try_lock`](Self::try_lock) would.
    pub fn try_lock_owned(self: Rc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        self.semaphore
            .try_acquire(1)
            .map_err(|_| TryLockError(()))?;
        Ok(OwnedMutexGuard::new(self))
    }

    /// Returns a mutable reference to the value. It needs no lock, because the mutex is
    /// borrowed mutably.
    pub fn get_mut(&mut self) -> &mut T {
        present(self.value.get_mut())
    }

    /// Consumes the lock and returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self.value.into_inner() {
            Some(value) => value,
            None => unreachable!("no guard exists, so the value is here (invariant 2)"),
        }
    }

    /// Borrows the value. The caller holds the permit.
    #[inline]
    fn borrow(&self) -> RefMut<'_, T> {
        RefMut::map(self.value.borrow_mut(), present)
    }
}

#[inline]
fn present<T>(value: &mut Option<T>) -> &mut T {
    match value {
        Some(value) => value,
        None => unreachable!("no owned guard holds the permit, so the value is here (invariant 2)"),
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}

/// The error of `try_lock` and similar methods: the lock is held.
#[derive(Debug)]
pub struct TryLockError(pub(crate) ());

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("operation would block")
    }
}

impl Error for TryLockError {}
