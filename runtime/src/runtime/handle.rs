//! [`Handle`]: a runtime, as other threads see it.
//!
//! ```text
//!   any thread                          the loop's thread
//!
//!   Handle::spawn ── Mailbox ──wake──>  Courier, a task   ── spawn ──>  RemoteTask
//!        │                                                                  │
//!   RemoteJoinHandle <──────────────────── Slot <───────────────────────────┘
//!        │                                   ^
//!   Handle::spawn_blocking ── Pool ── a thread of it
//! ```
//!
//! # Invariants
//!
//! 1. Every handle resolves. Whatever is sent carries the [`Sender`] of its
//!    slot, which stores "cancelled" when it is dropped unused; and what is in
//!    a mailbox or a queue is dropped, at the latest, when the loop is shut
//!    down. After that both refuse.
//! 2. No code of the user's runs under a lock: no closure, no waker, no
//!    destructor.
//! 3. The courier's waker is the only thing here that knows the loop, and goes
//!    when the courier does. So a handle may outlive its runtime.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::pool::worker::{self, Missing};
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawner;
use crate::engine::task::id::Id;

/// A runtime, for other threads: starts tasks and blocking work on it.
///
/// It can be cloned, sent and shared. It does not keep the runtime alive: once
/// that is dropped, whatever is spawned ends at once as cancelled.
///
/// # What is not here
///
/// A task lives on the thread of its loop, and so do the sockets and timers it
/// makes. So there is no `enter` and no `block_on`, which would have them on
/// another thread. Send the work to the loop instead, as a closure that makes
/// the future there, and wait for the [`RemoteJoinHandle`]: with
/// [`coreloop::block_on`](crate::block_on) on a thread without a loop, or by
/// `.await` on any executor.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = coreloop::Runtime::new()?;
/// let handle = runtime.handle();
/// let thread = std::thread::spawn(move || {
///     // The closure is sent; the future may be `!Send`, as it is made there.
///     handle.spawn(|| async {
///         let shared = Rc::new(6);
///         *shared * 7
///     })
/// });
/// let remote = thread.join().unwrap();
/// assert_eq!(runtime.block_on(remote).unwrap(), 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

// What is shared is behind locks that nothing of the user's panics under.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl Handle {
    pub(crate) fn of(event_loop: &EventLoop) -> Handle {
        Handle {
            shared: Arc::clone(spawner::shared_of(event_loop)),
        }
    }

    /// The runtime that this is called in: in a task, in blocking work that a
    /// runtime does, or while a guard of
    /// [`Runtime::enter`](crate::Runtime::enter) is held.
    ///
    /// # Panics
    ///
    /// Outside a runtime; see [`try_current`](Handle::try_current).
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::runtime::Handle;
    /// use coreloop::task::spawn_blocking;
    ///
    /// # coreloop::block_on(async {
    /// let task = spawn_blocking(|| {
    ///     // On a thread of the pool.
    ///     Handle::current().spawn(|| async { "on the loop" })
    /// });
    /// assert_eq!(task.await.unwrap().await.unwrap(), "on the loop");
    /// # })
    /// ```
    #[must_use]
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("Handle::current() has nothing to return: {error}"),
        }
    }

    /// The runtime that this is called in, as [`current`](Handle::current).
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::runtime::Handle;
    ///
    /// let error = Handle::try_current().unwrap_err();
    /// assert!(error.is_missing_context());
    /// coreloop::block_on(async {
    ///     assert!(Handle::try_current().is_ok());
    /// });
    /// ```
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        match context::with_current(|event_loop| Handle::of(event_loop)) {
            Some(handle) => Ok(handle),
            None => match worker::current() {
                Ok(shared) => Ok(Handle { shared }),
                Err(missing) => Err(TryCurrentError { missing }),
            },
        }
    }

    /// Makes a task on the runtime, of the future that `start` makes there.
    ///
    /// The closure is sent to the loop, so it must be `Send`, and so must the
    /// output, which is sent back. The future itself stays on the loop and may
    /// be `!Send`. The closure is called by the task, when its turn first comes.
    /// Tasks that one thread spawns start in the order in which it spawned them.
    ///
    /// The tasks of other threads do not crowd out the loop's own: a bounded number is
    /// started before local tasks, timers and descriptors get their turn.
    ///
    /// May be called anywhere: on any thread, in any runtime and in any
    /// executor. It never waits. If nobody drives the runtime at the moment, the
    /// task waits until somebody does; a loop that is embedded in another shows
    /// by its descriptor that there is something to do.
    ///
    /// On a runtime that was dropped, the closure is dropped, and the handle
    /// gives an error that [`is_cancelled`](crate::task::JoinError::is_cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use coreloop::runtime::Handle;
    ///
    /// coreloop::block_on(async {
    ///     let handle = Handle::current();
    ///     let (send, receive) = std::sync::mpsc::channel();
    ///     std::thread::spawn(move || {
    ///         send.send(handle.spawn(|| async {
    ///             coreloop::time::sleep(Duration::from_millis(1)).await;
    ///             "slept on the loop"
    ///         }))
    ///     });
    ///     assert_eq!(receive.recv().unwrap().await.unwrap(), "slept on the loop");
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<S, F>(&self, start: S) -> RemoteJoinHandle<F::Output>
    where
        S: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.shared.spawn(Id::fresh(), start, Location::caller())
    }

    /// Runs `work` on a thread of the runtime's pool, as
    /// [`task::spawn_blocking`](crate::task::spawn_blocking) does.
    ///
    /// May be called anywhere, from within such work too. The handle resolves
    /// whether anybody drives the runtime or not.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::runtime::Handle;
    /// use coreloop::task::spawn_blocking;
    ///
    /// # coreloop::block_on(async {
    /// let outer = spawn_blocking(|| Handle::current().spawn_blocking(|| 5));
    /// assert_eq!(outer.await.unwrap().await.unwrap(), 5);
    /// # })
    /// ```
    #[track_caller]
    pub fn spawn_blocking<W, R>(&self, work: W) -> RemoteJoinHandle<R>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared
            .spawn_blocking(Id::fresh(), work, Location::caller())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// There is no runtime to return a [`Handle`] of.
#[derive(Debug)]
pub struct TryCurrentError {
    missing: Missing,
}

impl TryCurrentError {
    /// Whether it was asked for outside a runtime.
    #[must_use]
    pub fn is_missing_context(&self) -> bool {
        self.missing == Missing::Context
    }

    /// Whether it was asked for by a destructor at the end of a thread, when
    /// nobody can tell any more.
    #[must_use]
    pub fn is_thread_local_destroyed(&self) -> bool {
        self.missing == Missing::ThreadLocal
    }
}

impl fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.missing {
            Missing::Context => {
                "not inside a coreloop runtime; call it in a task, in `block_on`, in the closure \
                 of `spawn_blocking`, or while a guard of `Runtime::enter` is held"
            }
            Missing::ThreadLocal => "the thread is ending, and its thread-local values are gone",
        })
    }
}

impl std::error::Error for TryCurrentError {}
