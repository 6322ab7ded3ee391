//! [`Semaphore`]: a limited number of permits.

mod error;
mod permit;

use std::fmt;
use std::rc::Rc;

use crate::raw_semaphore::RawSemaphore;

pub use error::{AcquireError, TryAcquireError};
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};

/// A limited number of permits, for which tasks wait while none is available.
///
/// Permits are granted in the order of the requests. A request for many permits waits
/// until all of them are free, and the requests behind it wait too, even if they are for
/// one permit: so small requests never starve a large one.
///
/// A task does not wait for permits that were granted to a future which it no longer polls:
/// another future of the same task takes them over. There is one exception: a request for more
/// permits than the futures left behind were granted, when another request is before it in the
/// queue. See [Futures that a task leaves behind](crate#futures-that-a-task-leaves-behind).
///
/// A permit is released when it is dropped.
///
/// # Examples
///
/// At most two downloads at a time:
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// use coreloop::sync::Semaphore;
/// use coreloop::task::yield_now;
///
/// coreloop::block_on(async {
///     let permits = Rc::new(Semaphore::new(2));
///     let running = Rc::new(Cell::new(0));
///     let tasks: Vec<_> = (0..10)
///         .map(|_| {
///             let (permits, running) = (Rc::clone(&permits), Rc::clone(&running));
///             coreloop::spawn(async move {
///                 let _permit = permits.acquire().await.unwrap();
///                 running.set(running.get() + 1);
///                 assert!(running.get() <= 2);
///                 yield_now().await;
///                 running.set(running.get() - 1);
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap();
///     }
/// });
/// ```
pub struct Semaphore {
    raw: RawSemaphore,
}

impl Semaphore {
    /// The maximum number of permits that a semaphore can have.
    pub const MAX_PERMITS: usize = RawSemaphore::MAX;

    /// Creates a semaphore with `permits` permits.
    ///
    /// # Panics
    ///
    /// Panics if there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        assert!(
            permits <= Self::MAX_PERMITS,
            "a semaphore may not have more than MAX_PERMITS permits"
        );
        Self {
            raw: RawSemaphore::new(permits),
        }
    }

    /// Creates a semaphore: [`new`](Self::new) by tokio's other name.
    ///
    /// # Panics
    ///
    /// Panics if there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    #[track_caller]
    pub const fn const_new(permits: usize) -> Self {
        Self::new(permits)
    }

    /// Returns the number of permits that can be acquired without waiting. It is 0
    /// while a request waits, because free permits are then saved for that request.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.raw.available()
    }

    /// Adds permits.
    ///
    /// # Panics
    ///
    /// Panics if there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let fits = count <= Self::MAX_PERMITS && self.raw.free() + count <= Self::MAX_PERMITS;
        assert!(
            fits,
            "adding {count} permits would make more than MAX_PERMITS"
        );
        self.raw.release(count);
    }

    /// Removes up to `count` of the available permits for good, and returns the number
    /// of permits that it removed.
    pub fn forget_permits(&self, count: usize) -> usize {
        self.raw.forget(count)
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a permit that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`AcquireError`] if the semaphore is [closed](Self::close).
    #[inline]
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.raw.acquire(1).await?;
        Ok(SemaphorePermit::new(self, 1))
    }

    /// Waits for `count` permits, and acquires all of them at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: permits that were granted to the dropped future go to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`AcquireError`] if the semaphore is [closed](Self::close).
    ///
    /// # Examples
    ///
    /// Few large uploads, or many small ones:
    ///
    /// ```
    /// use coreloop::sync::Semaphore;
    ///
    /// coreloop::block_on(async {
    ///     let megabytes = Semaphore::new(64);
    ///     let large = megabytes.acquire_many(60).await.unwrap();
    ///     assert_eq!(megabytes.available_permits(), 4);
    ///     drop(large);
    ///     assert_eq!(megabytes.available_permits(), 64);
    /// });
    /// ```
    #[inline]
    pub async fn acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.raw.acquire(count).await?;
        Ok(SemaphorePermit::new(self, count))
    }

    /// Acquires a permit if one is free and no request waits.
    ///
    /// # Errors
    ///
    /// Returns [`TryAcquireError::NoPermits`] if there is none, and
    /// [`TryAcquireError::Closed`] if the semaphore is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Acquires `count` permits if they are free and no request waits.
    ///
    /// # Errors
    ///
    /// Returns [`TryAcquireError::NoPermits`] if there are fewer, and
    /// [`TryAcquireError::Closed`] if the semaphore is closed.
    #[inline]
    pub fn try_acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.raw.try_acquire(count)?;
        Ok(SemaphorePermit::new(self, count))
    }

    /// Waits for a permit that borrows nothing, and so can be kept in a struct
    /// or given to another task.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a permit that was granted to the dropped future goes to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`AcquireError`] if the semaphore is [closed](Self::close).
    ///
    /// # Examples
    ///
    /// This waits *before* each task is spawned, so that there are never more tasks
    /// than permits:
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use coreloop::sync::Semaphore;
    ///
    /// coreloop::block_on(async {
    ///     let permits = Rc::new(Semaphore::new(2));
    ///     for _ in 0..10 {
    ///         let permit = Rc::clone(&permits).acquire_owned().await.unwrap();
    ///         coreloop::spawn(async move {
    ///             let _permit = permit;
    ///         });
    ///     }
    /// });
    /// ```
    #[inline]
    pub async fn acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.raw.acquire(1).await?;
        Ok(OwnedSemaphorePermit::new(self, 1))
    }

    /// Waits for `count` permits that borrow nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: permits that were granted to the dropped future go to the next
    /// request in the queue. The place in the queue is lost.
    ///
    /// # Errors
    ///
    /// Returns [`AcquireError`] if the semaphore is [closed](Self::close).
    #[inline]
    pub async fn acquire_many_owned(
        self: Rc<Self>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.raw.acquire(count).await?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Acquires a permit that borrows nothing, if one is free and no request waits.
    ///
    /// # Errors
    ///
    /// Returns an error if [`try_acquire`](Self::try_acquire) would.
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Acquires `count` permits that borrow nothing, if they are free and no request
    /// waits.
    ///
    /// # Errors
    ///
    /// Returns an error if [`try_acquire_many`](Self::try_acquire_many) would.
    pub fn try_acquire_many_owned(
        self: Rc<Self>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.raw.try_acquire(count)?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Closes the semaphore: requests fail from now on, also requests that wait. Permits
    /// that were acquired stay valid.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::{Semaphore, TryAcquireError};
    ///
    /// coreloop::block_on(async {
    ///     let semaphore = Semaphore::new(1);
    ///     let _permit = semaphore.acquire().await.unwrap();
    ///     semaphore.close();
    ///     assert!(semaphore.acquire().await.is_err());
    ///     assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    /// });
    /// ```
    pub fn close(&self) {
        self.raw.close();
    }

    /// Returns whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
