//! [`ReentrantMutex`]: a lock that the task which holds it may lock again.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::pin;

use coreloop_runtime::task::{self, coop};

use crate::mutex::TryLockError;
use crate::raw_semaphore::RawSemaphore;

/// A mutex that the task which holds the lock may lock again: Python's `RLock`.
///
/// It is unlocked when all guards of the task are dropped. Because there can be
/// several guards at a time, they give shared access only; put a value that changes
/// into a `Cell` or `RefCell`.
///
/// Futures that one task polls together, for instance by `join!`, do not exclude
/// each other, because they belong to the same task.
///
/// The lock belongs to a task, so it needs the runtime. The future of `block_on` is
/// a task too.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
///
/// use coreloop::sync::ReentrantMutex;
///
/// struct Account {
///     balance: ReentrantMutex<Cell<i64>>,
/// }
///
/// impl Account {
///     async fn deposit(&self, amount: i64) {
///         let balance = self.balance.lock().await;
///         balance.set(balance.get() + amount);
///     }
///
///     async fn deposit_all(&self, amounts: &[i64]) {
///         // No other task sees the balance in between.
///         let _locked = self.balance.lock().await;
///         for &amount in amounts {
///             self.deposit(amount).await;
///         }
///     }
/// }
///
/// coreloop::block_on(async {
///     let account = Account { balance: ReentrantMutex::new(Cell::new(0)) };
///     account.deposit_all(&[1, 2, 3]).await;
///     assert_eq!(account.balance.lock().await.get(), 6);
/// });
/// ```
pub struct ReentrantMutex<T: ?Sized> {
    semaphore: RawSemaphore,
    /// The task that holds the lock.
    owner: Cell<Option<task::Id>>,
    /// The number of guards of that task.
    depth: Cell<usize>,
    value: T,
}

impl<T> ReentrantMutex<T> {
    /// Creates an unlocked mutex.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            semaphore: RawSemaphore::new(1),
            owner: Cell::new(None),
            depth: Cell::new(0),
            value,
        }
    }

    /// Consumes the lock and returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Locks the mutex, and waits while another task holds the lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Panics
    ///
    /// Panics if it is polled outside a task of a runtime.
    pub async fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        let mut acquire = pin!(self.semaphore.acquire(1));
        let acquired = poll_fn(|cx| {
            // Checked in each poll: another future of the task may have locked the mutex
            // meanwhile, or this future may have moved to another task.
            if self.owner.get() == Some(current_task()) {
                return coop::poll_proceed(cx).map(|()| false);
            }
            acquire.as_mut().poll(cx).map(|acquired| acquired.is_ok())
        })
        .await;
        if acquired {
            self.owner.set(Some(current_task()));
        }
        self.enter()
    }

    /// Locks the mutex if no other task holds the lock.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] otherwise.
    ///
    /// # Panics
    ///
    /// Panics outside a task of a runtime.
    #[track_caller]
    pub fn try_lock(&self) -> Result<ReentrantMutexGuard<'_, T>, TryLockError> {
        let task = current_task();
        if self.owner.get() != Some(task) {
            self.semaphore
                .try_acquire(1)
                .map_err(|_| TryLockError(()))?;
            self.owner.set(Some(task));
        }
        Ok(self.enter())
    }

    /// Returns a mutable reference to the value. It needs no lock, because the mutex is
    /// borrowed mutably.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    fn enter(&self) -> ReentrantMutexGuard<'_, T> {
        self.depth.set(self.depth.get() + 1);
        ReentrantMutexGuard { mutex: self }
    }
}

#[track_caller]
fn current_task() -> task::Id {
    match task::try_id() {
        Some(task) => task,
        None => panic!(
            "a ReentrantMutex was locked outside a coreloop task, so there is no task to own it; \
             lock it in a task or in `block_on`, or use a Mutex"
        ),
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for ReentrantMutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value is only borrowed shared, so it may be printed while locked.
        f.debug_struct("ReentrantMutex")
            .field("owner", &self.owner.get())
            .field("data", &&self.value)
            .finish()
    }
}

/// A guard of a [`ReentrantMutex`], of which its task may have several.
///
/// Dropping the last of them unlocks the mutex, wherever it is dropped.
#[must_use = "if unused the ReentrantMutex will immediately unlock"]
pub struct ReentrantMutexGuard<'a, T: ?Sized> {
    mutex: &'a ReentrantMutex<T>,
}

impl<T: ?Sized> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.mutex.value
    }
}

impl<T: ?Sized> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        let depth = self.mutex.depth.get() - 1;
        self.mutex.depth.set(depth);
        if depth == 0 {
            self.mutex.owner.set(None);
            self.mutex.semaphore.release(1);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
