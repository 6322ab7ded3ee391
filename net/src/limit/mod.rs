//! A bound on how many connections are open at once.

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

/// How many connections may be open at once. Clones share one count.
///
/// [`TcpListener::limit`](crate::TcpListener::limit) takes one, or just the number.
/// For connections that are made in another way, [`acquire`](Self::acquire) gives a
/// permit for each.
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
///     assert_eq!(limit.live(), 0);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct ConnectionLimit {
    permits: Rc<Permits>,
}

impl ConnectionLimit {
    /// A limit of `most` connections.
    ///
    /// # Panics
    ///
    /// If that is 0, for then nobody would ever be accepted.
    #[must_use]
    #[track_caller]
    pub fn new(most: usize) -> ConnectionLimit {
        assert!(
            most > 0,
            "a limit of 0 connections accepts none; give 1 or more"
        );
        ConnectionLimit {
            permits: Rc::new(Permits::new(most)),
        }
    }

    /// How many connections may be open at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.permits.most()
    }

    /// How many permits there are now: one for each open connection, and one for
    /// each task that waits for the next connection.
    #[must_use]
    pub fn live(&self) -> usize {
        self.permits.live()
    }

    /// Waits for a permit.
    ///
    /// Permits are given in the order in which they were asked for. One that is given
    /// to a future is kept for it until the future is polled or dropped, so a task must
    /// not leave the future behind unpolled and wait for another permit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no permit is lost, but the place in the queue is.
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

    /// A permit, if there is one left for which no task waits.
    #[must_use]
    pub fn try_acquire(&self) -> Option<ConnectionPermit> {
        ConnectionPermit::try_new(&self.permits)
    }
}

/// See [`ConnectionLimit::new`].
impl From<usize> for ConnectionLimit {
    #[track_caller]
    fn from(most: usize) -> ConnectionLimit {
        ConnectionLimit::new(most)
    }
}

impl fmt::Debug for ConnectionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionLimit")
            .field("most", &self.most())
            .field("live", &self.live())
            .finish()
    }
}

/// Counts as a connection until it is dropped.
pub struct ConnectionPermit {
    permits: Rc<Permits>,
}

impl ConnectionPermit {
    fn try_new(permits: &Rc<Permits>) -> Option<ConnectionPermit> {
        permits.try_take().then(|| ConnectionPermit {
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

/// A connection and the permit it was accepted with. It is the stream in all ways,
/// and gives the permit back when it is dropped, after closing.
#[derive(Debug)]
pub struct Limited<S> {
    // Dropped first: who gets the permit finds the descriptor free.
    stream: S,
    permit: ConnectionPermit,
}

impl<S> Limited<S> {
    /// Has `stream` hold `permit`.
    pub fn new(stream: S, permit: ConnectionPermit) -> Limited<S> {
        Limited { stream, permit }
    }

    /// The stream, and the permit to keep for as long as the connection counts:
    /// for instance to take the stream apart into halves, or wrap it in TLS.
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
