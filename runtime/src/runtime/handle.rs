//! [`Handle`]: access to a runtime from other threads.
//!
//! ```text
//!   any thread                                 the loop's thread
//!
//!   Handle::spawn ─── SpawnQueue ───wake───>   RemoteSpawner, a task
//!        │                                          │ spawns
//!        │                                          v
//!   RemoteJoinHandle <───── OutcomeSlot <───────  RemoteTask
//!        │                        ^
//!   Handle::spawn_blocking ── Pool ── a thread of the pool
//! ```
//!
//! # Invariants
//!
//! 1. Every handle resolves. A spawn request and a job each own the `OutcomeSender` of
//!    their slot, which stores "cancelled" if it is dropped unused. What is still in the
//!    spawn queue or the queue of the pool is dropped, at the latest, when the loop is shut
//!    down. After that both refuse new entries.
//! 2. No user code runs under a lock: no closure, no waker, no destructor.
//! 3. The waker of the remote spawner is the only reference to the loop here, and is
//!    dropped with the remote spawner. So a handle may outlive its runtime.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::id::Id;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::pool::worker::{self, Missing};
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawner;

/// A handle to a runtime that spawns tasks and blocking work on it from any thread.
///
/// It can be cloned, sent and shared. It does not keep the runtime alive: once the
/// runtime has been dropped, whatever is spawned is cancelled at once.
///
/// # Differences from `Runtime`
///
/// A task lives on the thread of its loop, and so do the sockets and timers that it
/// creates. So there is no `enter` and no `block_on`, which would create them on
/// another thread. Instead, send a closure that creates the future on the loop, and
/// wait for the [`RemoteJoinHandle`]: with [`coreloop::block_on`](crate::block_on) on a
/// thread without a loop, or by `.await` on any executor.
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
///     // The closure is sent; the future may be `!Send`, because it is created on the loop.
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

// The shared state is behind locks under which no user code can panic.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl Handle {
    pub(crate) fn of(event_loop: &EventLoop) -> Self {
        Self {
            shared: Arc::clone(spawner::shared_of(event_loop)),
        }
    }

    /// Returns a handle to the current runtime.
    ///
    /// There is one in a task, in the blocking work of a runtime, and while a guard of
    /// [`Runtime::enter`](crate::Runtime::enter) is held.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime. Use [`try_current`](Handle::try_current) to get an
    /// error instead.
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
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("Handle::current() has nothing to return: {error}"),
        }
    }

    /// Returns a handle to the current runtime, or an error if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if it is called outside a runtime.
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
    pub fn try_current() -> Result<Self, TryCurrentError> {
        match context::with_current(|event_loop| Self::of(event_loop)) {
            Some(handle) => Ok(handle),
            None => match worker::current() {
                Ok(shared) => Ok(Self { shared }),
                Err(missing) => Err(TryCurrentError { missing }),
            },
        }
    }

    /// Spawns a task on the runtime, with the future that `start` creates there.
    ///
    /// The closure is sent to the loop, so it must be `Send`, and so must the output,
    /// which is sent back. The future itself stays on the loop and may be `!Send`. The
    /// task calls the closure when it is first polled. Tasks that one thread spawns
    /// start in the order in which they were spawned.
    ///
    /// Tasks from other threads do not starve the loop's own: a bounded number of them
    /// is started before local tasks, timers and descriptors are served.
    ///
    /// May be called anywhere: on any thread, in any runtime and in any executor. It
    /// never waits. The task starts when the runtime is next driven. If the loop is
    /// embedded in another one, its descriptor becomes readable.
    ///
    /// If the runtime has been dropped, the closure is dropped, and awaiting the handle
    /// returns an error whose [`is_cancelled`](crate::task::JoinError::is_cancelled) is
    /// true.
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

    /// Runs `work` on a thread of the runtime's pool.
    ///
    /// This is like [`task::spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// May be called anywhere, including from blocking work. The handle resolves even
    /// if the runtime is not being driven.
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

/// An error returned by [`Handle::try_current`]: there is no current runtime.
#[derive(Debug)]
pub struct TryCurrentError {
    missing: Missing,
}

impl TryCurrentError {
    /// Returns whether the call was made outside a runtime.
    #[must_use]
    pub fn is_missing_context(&self) -> bool {
        self.missing == Missing::Context
    }

    /// Returns whether the thread was ending, and no longer knew its runtime.
    ///
    /// Destructors of thread-local values run at that time.
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
