//! [`ConnectionLimit`]: how many connections may be open at once.

#[cfg(feature = "hyper")]
mod hyper_io;
mod permits;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod traits;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use self::permits::{Acquire, Permits};

/// A limit on how many connections are open at once.
///
/// Clones share one count.
///
/// [`TcpListener::limit`](crate::TcpListener::limit) takes a limit, or just the number. For
/// connections that are made in other ways, [`acquire`](Self::acquire) returns a permit for
/// each.
///
/// # Examples
///
/// One limit for two listeners:
///
/// ```
/// use coreloop::net::{ConnectionLimit, TcpListener};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let limit = ConnectionLimit::new(1000);
///     let _plain = TcpListener::bind("127.0.0.1:0").await?.limit(limit.clone());
///     let _secure = TcpListener::bind("127.0.0.1:0").await?.limit(limit.clone());
///     assert_eq!(limit.active(), 0);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct ConnectionLimit {
    permits: Rc<Permits>,
}

impl ConnectionLimit {
    /// Creates a limit of `max` connections.
    ///
    /// # Panics
    ///
    /// Panics if `max` is 0, because then no connection would ever be accepted.
    #[must_use]
    #[track_caller]
    pub fn new(max: usize) -> Self {
        assert!(
            max > 0,
            "a limit of 0 connections accepts none; give 1 or more"
        );
        Self {
            permits: Rc::new(Permits::new(max)),
        }
    }

    /// Returns how many connections may be open at once.
    #[must_use]
    pub fn max(&self) -> usize {
        self.permits.max()
    }

    /// Returns how many permits exist: one for each open connection, and one for each task
    /// that waits for the next connection.
    #[must_use]
    pub fn active(&self) -> usize {
        self.permits.active()
    }

    /// The old name of [`max`](Self::max).
    #[must_use]
    #[deprecated(since = "0.1.0", note = "renamed to `max`")]
    pub fn most(&self) -> usize {
        self.max()
    }

    /// The old name of [`active`](Self::active).
    #[must_use]
    #[deprecated(since = "0.1.0", note = "renamed to `active`")]
    pub fn live(&self) -> usize {
        self.active()
    }

    /// Waits for a permit.
    ///
    /// Permits are granted in the order in which they were requested. A permit that is granted
    /// to a future is reserved for it until it is polled or dropped, so a task must not keep
    /// such a future unpolled while it waits for another permit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no permit is lost, but the position in the queue is.
    ///
    /// # Examples
    ///
    /// ```
    /// # coreloop::block_on(async {
    /// let limit = coreloop::net::ConnectionLimit::new(1);
    /// let permit = limit.acquire().await;
    /// assert!(limit.try_acquire().is_none());
    /// drop(permit);
    /// assert!(limit.try_acquire().is_some());
    /// # })
    /// ```
    pub fn acquire(&self) -> impl Future<Output = ConnectionPermit> {
        Acquire::new(&self.permits)
    }

    /// Returns a permit if one is left for which no task waits.
    #[must_use]
    pub fn try_acquire(&self) -> Option<ConnectionPermit> {
        ConnectionPermit::try_new(&self.permits)
    }
}

/// Creates a limit like [`ConnectionLimit::new`].
impl From<usize> for ConnectionLimit {
    #[track_caller]
    fn from(max: usize) -> Self {
        Self::new(max)
    }
}

impl fmt::Debug for ConnectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimit")
            .field("max", &self.max())
            .field("active", &self.active())
            .finish()
    }
}

/// A permit for one connection, which counts until it is dropped.
pub struct ConnectionPermit {
    permits: Rc<Permits>,
}

impl ConnectionPermit {
    fn try_new(permits: &Rc<Permits>) -> Option<Self> {
        permits.try_take().then(|| Self {
            permits: Rc::clone(permits),
        })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.permits.give_back();
    }
}

impl fmt::Debug for ConnectionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPermit").finish_non_exhaustive()
    }
}

/// A connection and the permit with which it was accepted.
///
/// It derefs to the stream and has its traits. Dropping it closes the connection, and then
/// returns the permit.
#[derive(Debug)]
pub struct Limited<S> {
    // Dropped first, so that the descriptor is free when the next task gets the permit.
    stream: S,
    permit: ConnectionPermit,
}

impl<S> Limited<S> {
    /// Joins `stream` and `permit`.
    pub fn new(stream: S, permit: ConnectionPermit) -> Self {
        Self { stream, permit }
    }

    /// Returns the stream, and the permit to keep for as long as the connection counts. Use
    /// this to take the stream apart into halves, or to wrap it in TLS.
    #[must_use = "the connection no longer counts once the permit is dropped"]
    pub fn into_parts(self) -> (S, ConnectionPermit) {
        (self.stream, self.permit)
    }
}

impl<S> Deref for Limited<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S> DerefMut for Limited<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}
