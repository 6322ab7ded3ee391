//! [`RwLock`]: a value for many readers or one writer, in the order of their requests.
//!
//! # Invariants
//!
//! 1. A reader holds one permit, a writer holds all of them. Only they borrow the
//!    value, and only while they hold permits, so no borrow fails. The semaphore
//!    is never closed, so waiting for permits never fails.
//! 2. Whenever a writer gets its permits, the lock has the value, in an `Rc` with
//!    no other owner: readers have dropped their `Rc`s by then, and an owned writer
//!    has put the value back.

mod guard;
mod owned;

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;

use crate::mutex::TryLockError;
use crate::raw_semaphore::RawSemaphore;

pub use guard::{RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard};
pub use owned::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

/// A lock that lets many tasks at a time read a value, or one task change it, also across
/// awaits.
///
/// The lock is granted in the order of the requests. So readers that come while a
/// writer waits are behind it, and a stream of readers does not starve the writer.
/// It also means that a task which holds the lock for reading must not request it for
/// reading again: with a writer in between it would wait for itself.
///
/// A task does not wait for a lock that was granted to a future which it no longer polls:
/// another future of the same task takes that lock over. There is one exception: a request to
/// write with another request before it in the queue, when the future left behind was granted
/// the lock for reading. See [Futures that a task leaves
/// behind](crate#futures-that-a-task-leaves-behind).
///
/// A panic while the lock is held releases the lock, and does not poison it.
///
/// # Examples
///
/// ```
/// use coreloop::sync::RwLock;
///
/// coreloop::block_on(async {
///     let lock = RwLock::new(5);
///     {
///         let (one, other) = (lock.read().await, lock.read().await);
///         assert_eq!(*one + *other, 10);
///     }
///     *lock.write().await += 1;
///     assert_eq!(*lock.read().await, 6);
/// });
/// ```
pub struct RwLock<T> {
    semaphore: RawSemaphore,
    /// The number of permits.
    max_readers: u32,
    /// In an `Rc`, so that owned readers can share it.
    value: RefCell<Option<Rc<T>>>,
}

/// The same maximum as tokio's.
const MAX_READERS: u32 = u32::MAX >> 3;

impl<T> RwLock<T> {
    /// Creates an unlocked lock.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::with_max_readers(value, MAX_READERS)
    }

    /// Creates an unlocked lock for at most `max_readers` readers at a time.
    ///
    /// # Panics
    ///
    /// Panics if `max_readers` is 0, or more than `u32::MAX >> 3`.
    #[must_use]
    #[track_caller]
    pub fn with_max_readers(value: T, max_readers: u32) -> Self {
        assert!(
            max_readers != 0,
            "a RwLock may not be created with 0 readers"
        );
        assert!(
            max_readers <= MAX_READERS,
            "a RwLock may not be created with more than {MAX_READERS} readers"
        );
        Self {
            semaphore: RawSemaphore::new(max_readers as usize),
            max_readers,
            value: RefCell::new(Some(Rc::new(value))),
        }
    }

    /// Locks for reading. Waits while a writer has the lock, and for writers that
    /// requested it before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        let _ = self.semaphore.acquire(1).await;
        RwLockReadGuard::new(self)
    }

    /// Locks for writing, and waits while another task has the lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost, and readers that waited
    /// only for this writer are granted the lock.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        let _ = self.semaphore.acquire(self.max_readers).await;
        RwLockWriteGuard::new(self)
    }

    /// Locks for reading if no task has the lock for writing, and no task waits.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] otherwise.
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.try_acquire(1)?;
        Ok(RwLockReadGuard::new(self))
    }

    /// Locks for writing if no task has the lock.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] otherwise.
    #[inline]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        self.try_acquire(self.max_readers)?;
        Ok(RwLockWriteGuard::new(self))
    }

    /// Locks for reading with a guard that borrows nothing, and so can be kept
    /// in a struct or given to another task.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`read`](Self::read).
    pub async fn read_owned(self: Rc<Self>) -> OwnedRwLockReadGuard<T> {
        let _ = self.semaphore.acquire(1).await;
        OwnedRwLockReadGuard::new(self)
    }

    /// Locks for writing with a guard that borrows nothing, and so can be kept
    /// in a struct or given to another task.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`write`](Self::write).
    pub async fn write_owned(self: Rc<Self>) -> OwnedRwLockWriteGuard<T> {
        let _ = self.semaphore.acquire(self.max_readers).await;
        OwnedRwLockWriteGuard::new(self)
    }

    /// Locks for reading with a guard that borrows nothing, if no task has the lock
    /// for writing, and no task waits.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] otherwise.
    pub fn try_read_owned(self: Rc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        self.try_acquire(1)?;
        Ok(OwnedRwLockReadGuard::new(self))
    }

    /// Locks for writing with a guard that borrows nothing, if no task has the lock.
    ///
    /// # Errors
    ///
    /// Returns [`TryLockError`] otherwise.
    pub fn try_write_owned(self: Rc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        self.try_acquire(self.max_readers)?;
        Ok(OwnedRwLockWriteGuard::new(self))
    }

    /// Returns a mutable reference to the value. It needs no lock, because the lock itself
    /// is borrowed mutably.
    pub fn get_mut(&mut self) -> &mut T {
        exclusive(self.value.get_mut())
    }

    /// Consumes the lock and returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self.value.into_inner().and_then(Rc::into_inner) {
            Some(value) => value,
            None => unreachable!("no guard exists, so the value is here, unshared (invariant 2)"),
        }
    }

    #[inline]
    fn try_acquire(&self, count: u32) -> Result<(), TryLockError> {
        self.semaphore
            .try_acquire(count)
            .map_err(|_| TryLockError(()))
    }

    /// Borrows the value. The caller holds one permit.
    #[inline]
    fn borrow(&self) -> Ref<'_, T> {
        Ref::map(self.value.borrow(), |value| &**shared(value))
    }

    /// Borrows the value mutably. The caller holds all permits.
    #[inline]
    fn borrow_mut(&self) -> RefMut<'_, T> {
        RefMut::map(self.value.borrow_mut(), exclusive)
    }
}

#[inline]
fn shared<T>(value: &Option<Rc<T>>) -> &Rc<T> {
    match value {
        Some(value) => value,
        None => unreachable!("only an owned writer takes the value out (invariant 1)"),
    }
}

#[inline]
fn exclusive<T>(value: &mut Option<Rc<T>>) -> &mut T {
    match value.as_mut().and_then(Rc::get_mut) {
        Some(value) => value,
        None => unreachable!("there are no readers beside a writer (invariant 2)"),
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}
