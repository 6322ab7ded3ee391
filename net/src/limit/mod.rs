//! A bound on how many connections are open at once.
//!
//! 1. `live` is the number of permits, and never above `most`.
//! 2. Whoever waits has a place in `waiting` for as long, with its waker there
//!    unless it was woken since. So a permit that is given back wakes all, and none
//!    is forgotten when one that was woken is dropped. They are acceptors, so there
//!    are few.

#[cfg(feature = "hyper")]
mod hyper_io;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod traits;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::{Deref, DerefMut};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// How many connections may be open at once. Clones share one count.
///
/// [`TcpListener::limit`](crate::TcpListener::limit) takes one, or just the number.
/// Whoever makes connections in another way can take a permit for each by hand.
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
    shared: Rc<Shared>,
}

struct Shared {
    most: usize,
    live: Cell<usize>,
    waiting: RefCell<Slab<Option<Waker>>>,
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
            shared: Rc::new(Shared {
                most,
                live: Cell::new(0),
                waiting: RefCell::default(),
            }),
        }
    }

    /// How many connections may be open at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.shared.most
    }

    /// How many permits there are now: one for each open connection, and one for
    /// each task that waits for the next connection.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.live.get()
    }

    /// Waits for a permit. Whoever waits here is not served in any order.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no permit is lost.
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
        let mut place = Place {
            shared: &self.shared,
            key: None,
        };
        poll_fn(move |cx| match self.try_acquire() {
            Some(permit) => Poll::Ready(permit),
            None => {
                place.wait(cx);
                Poll::Pending
            }
        })
    }

    /// A permit, if there is one left.
    #[must_use]
    pub fn try_acquire(&self) -> Option<ConnectionPermit> {
        let live = self.shared.live.get();
        (live < self.shared.most).then(|| {
            self.shared.live.set(live + 1);
            ConnectionPermit {
                shared: Rc::clone(&self.shared),
            }
        })
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
    shared: Rc<Shared>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.live.set(shared.live.get() - 1);
        shared.wake_all();
    }
}

impl fmt::Debug for ConnectionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPermit").finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing is borrowed while a waker runs: it may come back here. One that
    /// panics does not cost the others their wake; the first panic goes on after.
    fn wake_all(&self) {
        let mut panicked = None;
        let mut key = 0;
        while key < self.waiting.borrow().capacity() {
            let waker = self
                .waiting
                .borrow_mut()
                .get_mut(key)
                .and_then(Option::take);
            if let Some(waker) = waker {
                let woken = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
                panicked = panicked.or(woken.err());
            }
            key += 1;
        }
        if let Some(payload) = panicked {
            panic::resume_unwind(payload);
        }
    }
}

/// A place among those who wait, from the first wait on.
struct Place<'a> {
    shared: &'a Shared,
    key: Option<usize>,
}

impl Place<'_> {
    fn wait(&mut self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let mut waiting = self.shared.waiting.borrow_mut();
        let key = *self.key.get_or_insert_with(|| waiting.insert(None));
        let previous = waiting[key].replace(waker);
        drop(waiting);
        drop(previous);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.shared.waiting.borrow_mut().remove(key);
            drop(waker);
        }
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
