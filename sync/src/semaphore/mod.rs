//! [`Semaphore`]: at most so many at a time.

mod error;
mod permit;

use std::fmt;
use std::rc::Rc;

use crate::permits::Permits;

pub use error::{AcquireError, TryAcquireError};
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};

/// Hands out a number of permits, and makes tasks wait while there are none.
///
/// Permits are granted in the order in which they were asked for. A request for
/// many waits until all of them are free, and the requests behind it wait too, even if
/// they are for one only: so a big request is never starved by small ones.
///
/// A task does not wait for permits that were granted to a future which it no longer polls:
/// another future of the same task takes them over. There is one exception: a request for more
/// permits than the futures left behind were granted, when another request is before it in the
/// queue. See [Futures that a task leaves behind](crate#futures-that-a-task-leaves-behind).
///
/// A permit is given back when it is dropped.
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
    permits: Permits,
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = Permits::MAX;

    /// Creates a semaphore with so many permits.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    #[track_caller]
    pub const fn new(permits: usize) -> Self {
        assert!(
            permits <= Self::MAX_PERMITS,
            "a semaphore may not have more than MAX_PERMITS permits"
        );
        Self {
            permits: Permits::new(permits),
        }
    }

    /// Creates a semaphore: [`new`](Self::new) by tokio's other name.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[must_use]
    #[track_caller]
    pub const fn const_new(permits: usize) -> Self {
        Self::new(permits)
    }

    /// How many permits can be had at once. None while somebody waits, for
    /// whatever is free then is being saved for that request.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.permits.available()
    }

    /// Adds permits.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let fits = count <= Self::MAX_PERMITS && self.permits.free() + count <= Self::MAX_PERMITS;
        assert!(
            fits,
            "adding {count} permits would make more than MAX_PERMITS"
        );
        self.permits.release(count);
    }

    /// Takes up to so many of the available permits away for good, and says
    /// how many.
    pub fn forget_permits(&self, count: usize) -> usize {
        self.permits.forget(count)
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a permit that the dropped future was given goes to the next
    /// in the queue. Its place in the queue is lost.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is [closed](Self::close).
    #[inline]
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.permits.acquire(1).await?;
        Ok(SemaphorePermit::new(self, 1))
    }

    /// Waits for so many permits, and takes them all at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: permits that the dropped future was given go to the next in
    /// the queue. Its place in the queue is lost.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is [closed](Self::close).
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
        self.permits.acquire(count).await?;
        Ok(SemaphorePermit::new(self, count))
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::NoPermits`] if there is none, and
    /// [`TryAcquireError::Closed`] if the semaphore is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes so many permits if they are free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::NoPermits`] if there are fewer, and
    /// [`TryAcquireError::Closed`] if the semaphore is closed.
    #[inline]
    pub fn try_acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.permits.try_acquire(count)?;
        Ok(SemaphorePermit::new(self, count))
    }

    /// Waits for a permit that borrows nothing, and so can be kept in a struct
    /// or given to another task.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a permit that the dropped future was given goes to the next
    /// in the queue. Its place in the queue is lost.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is [closed](Self::close).
    ///
    /// # Examples
    ///
    /// Waiting *before* the task is spawned, so that no more tasks exist than
    /// there are permits:
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
        self.permits.acquire(1).await?;
        Ok(OwnedSemaphorePermit::new(self, 1))
    }

    /// Waits for so many permits that borrow nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: permits that the dropped future was given go to the next in
    /// the queue. Its place in the queue is lost.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is [closed](Self::close).
    #[inline]
    pub async fn acquire_many_owned(
        self: Rc<Self>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.permits.acquire(count).await?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Takes a permit that borrows nothing, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(self: Rc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes so many permits that borrow nothing, if they are free and nobody
    /// waits.
    ///
    /// # Errors
    ///
    /// As for [`try_acquire_many`](Self::try_acquire_many).
    pub fn try_acquire_many_owned(
        self: Rc<Self>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.permits.try_acquire(count)?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Refuses permits from now on, also to those who wait. Permits that are
    /// out stay valid.
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
        self.permits.close();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
