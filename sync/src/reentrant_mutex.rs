//! [`ReentrantMutex`]: a lock that its task may take again.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::pin;

use coreloop_runtime::task::{self, coop};

use crate::mutex::TryLockError;
use crate::permits::Permits;

/// A mutex that the task which has it locked may lock again: Python's `RLock`.
///
/// It is unlocked when as many guards have been dropped as there were locks.
/// As there can be several guards at a time, they give shared access only; put
/// what changes into a `Cell` or `RefCell`.
///
/// Futures that one task polls together, by `join!` for instance, are one task:
/// they do not exclude each other.
///
/// The lock belongs to tasks, so it needs the runtime: the future of
/// `block_on` is a task too.
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
///         // Nobody sees the balance in between.
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
    permits: Permits,
    /// The task that has it locked.
    owner: Cell<Option<task::Id>>,
    /// How many guards that task has.
    depth: Cell<usize>,
    value: T,
}

impl<T> ReentrantMutex<T> {
    /// Creates an unlocked mutex.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            permits: Permits::new(1),
            owner: Cell::new(None),
            depth: Cell::new(0),
            value,
        }
    }

    /// Takes the value out.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Locks the mutex; waits until no other task has it locked.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that the dropped future was given goes to the next
    /// in the queue. Its place in the queue is lost.
    ///
    /// # Panics
    ///
    /// Outside a task of a coreloop runtime, when polled.
    pub async fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        let mut acquire = pin!(self.permits.acquire(1));
        let acquired = poll_fn(|cx| {
            // At each poll: another future of the task may have locked it
            // meanwhile, and this one may have moved to another task.
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

    /// Locks the mutex if no other task has it locked.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] otherwise.
    ///
    /// # Panics
    ///
    /// Outside a task of a coreloop runtime.
    #[track_caller]
    pub fn try_lock(&self) -> Result<ReentrantMutexGuard<'_, T>, TryLockError> {
        let task = current_task();
        if self.owner.get() != Some(task) {
            self.permits.try_acquire(1).map_err(|_| TryLockError(()))?;
            self.owner.set(Some(task));
        }
        Ok(self.enter())
    }

    /// The value. Needs no lock, as nobody else can reach the mutex.
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
            "a ReentrantMutex was locked outside a coreloop task, so nothing tells who locks it; \
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value is only ever shared, so it may be shown while locked.
        formatter
            .debug_struct("ReentrantMutex")
            .field("owner", &self.owner.get())
            .field("data", &&self.value)
            .finish()
    }
}

/// One of the locks that a task has on a [`ReentrantMutex`]; given up when
/// dropped, wherever that is.
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
            self.mutex.permits.release(1);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
