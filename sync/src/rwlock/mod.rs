//! [`RwLock`]: many readers or one writer, in the order in which they came.
//!
//! # Invariants
//!
//! 1. A reader holds one permit, a writer all of them. Only they borrow the
//!    value, and no longer than they hold permits: so no borrow fails.
//!    The permits are never closed, so waiting for them never fails.
//! 2. The value is here, with no other count, whenever a writer gets its
//!    permits: readers have given back their counts by then, and an owned
//!    writer the value itself.

mod guard;
mod owned;

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;

use crate::mutex::TryLockError;
use crate::permits::Permits;

pub use guard::{RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard};
pub use owned::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

/// Gives many tasks at a time access to a value to read it, or one to change
/// it, across awaits.
///
/// The lock is granted in the order in which it was asked for. So readers that
/// come while a writer waits are behind it, and a stream of readers does not
/// keep it out. It also means that a task that reads may not ask to read again
/// before it has let go: with a writer in between it would wait for itself.
///
/// A task does not wait for a lock that was granted to a future which it no longer polls:
/// another future of the same task takes that over. There is one exception: a request to write
/// with another request before it in the queue, when the future left behind was granted the lock
/// for reading. See [Futures that a task leaves behind](crate#futures-that-a-task-leaves-behind).
///
/// A panic while the lock is held releases it and poisons nothing.
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
    permits: Permits,
    /// How many permits there are.
    max_readers: u32,
    /// Counted, so that owned readers can share it.
    value: RefCell<Option<Rc<T>>>,
}

/// As tokio has it.
const MAX_READERS: u32 = u32::MAX >> 3;

impl<T> RwLock<T> {
    /// Creates an unlocked lock.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::with_max_readers(value, MAX_READERS)
    }

    /// Creates an unlocked lock that lets at most so many read at a time.
    ///
    /// # Panics
    ///
    /// If that is 0, or more than `u32::MAX >> 3`.
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
            permits: Permits::new(max_readers as usize),
            max_readers,
            value: RefCell::new(Some(Rc::new(value))),
        }
    }

    /// Locks for reading; waits until nobody writes, nor waits to write since
    /// before this.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that the dropped future was given goes to the next
    /// in the queue. Its place in the queue is lost.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        let _ = self.permits.acquire(1).await;
        RwLockReadGuard::new(self)
    }

    /// Locks for writing; waits until nobody else has the lock.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a lock that the dropped future was given goes to the next
    /// in the queue. Its place in the queue is lost, and readers that were
    /// behind it only because of it go on.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        let _ = self.permits.acquire(self.max_readers).await;
        RwLockWriteGuard::new(self)
    }

    /// Locks for reading if nobody writes or waits.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] otherwise.
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.try_acquire(1)?;
        Ok(RwLockReadGuard::new(self))
    }

    /// Locks for writing if nobody has the lock.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] otherwise.
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
    /// Cancel safe: as [`read`](Self::read).
    pub async fn read_owned(self: Rc<Self>) -> OwnedRwLockReadGuard<T> {
        let _ = self.permits.acquire(1).await;
        OwnedRwLockReadGuard::new(self)
    }

    /// Locks for writing with a guard that borrows nothing, and so can be kept
    /// in a struct or given to another task.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: as [`write`](Self::write).
    pub async fn write_owned(self: Rc<Self>) -> OwnedRwLockWriteGuard<T> {
        let _ = self.permits.acquire(self.max_readers).await;
        OwnedRwLockWriteGuard::new(self)
    }

    /// Locks for reading with a guard that borrows nothing, if nobody writes or
    /// waits.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] otherwise.
    pub fn try_read_owned(self: Rc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        self.try_acquire(1)?;
        Ok(OwnedRwLockReadGuard::new(self))
    }

    /// Locks for writing with a guard that borrows nothing, if nobody has the
    /// lock.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] otherwise.
    pub fn try_write_owned(self: Rc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        self.try_acquire(self.max_readers)?;
        Ok(OwnedRwLockWriteGuard::new(self))
    }

    /// The value. Needs no lock, as nobody else can reach it.
    pub fn get_mut(&mut self) -> &mut T {
        alone(self.value.get_mut())
    }

    /// Takes the value out.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self.value.into_inner().and_then(Rc::into_inner) {
            Some(value) => value,
            None => unreachable!("nobody has the lock, so the value is here alone (invariant 2)"),
        }
    }

    #[inline]
    fn try_acquire(&self, count: u32) -> Result<(), TryLockError> {
        self.permits
            .try_acquire(count)
            .map_err(|_| TryLockError(()))
    }

    /// Borrows the value for who holds one permit.
    #[inline]
    fn borrow(&self) -> Ref<'_, T> {
        Ref::map(self.value.borrow(), |value| &**shared(value))
    }

    /// Borrows the value for who holds all permits.
    #[inline]
    fn borrow_mut(&self) -> RefMut<'_, T> {
        RefMut::map(self.value.borrow_mut(), alone)
    }
}

#[inline]
fn shared<T>(value: &Option<Rc<T>>) -> &Rc<T> {
    match value {
        Some(value) => value,
        None => unreachable!("only an owned writer has it (invariant 1)"),
    }
}

#[inline]
fn alone<T>(value: &mut Option<Rc<T>>) -> &mut T {
    match value.as_mut().and_then(Rc::get_mut) {
        Some(value) => value,
        None => unreachable!("a writer has no readers beside it (invariant 2)"),
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RwLock");
        match self.try_read() {
            Ok(guard) => shown.field("data", &&*guard),
            Err(_) => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}
