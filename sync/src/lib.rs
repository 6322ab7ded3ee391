//! Coordination between tasks that share a thread.
//!
//! Use it through the facade, as `coreloop::sync`.
//!
//! No type here is `Send`, so none needs an atomic or a lock: state is kept in
//! cells, and every primitive is built on one FIFO wait queue. A grant is never
//! lost: a waiter that is dropped after it was granted something, and before its
//! next poll, passes the grant on.
//!
//! Waiting spends the task's budget, so that a task that always finds what it
//! waits for still lets other tasks run. Under another executor there is no
//! budget, and everything else works the same.
//!
//! # Locks and signals
//!
//! | type | purpose |
//! |---|---|
//! | [`Barrier`] | lets tasks continue together, once enough of them have arrived |
//! | [`CancellationToken`] | requests that tasks stop, and the tasks below them |
//! | [`Condvar`] | waits until the value of a [`Mutex`] meets a condition |
//! | [`Event`] | a flag that tasks wait for, and that can be cleared |
//! | [`Mutex`] | a value for one task at a time, across awaits |
//! | [`Notify`] | notifies one task, or all tasks that wait |
//! | [`OnceCell`] | a value that is made when it is first needed |
//! | [`ReentrantMutex`] | a lock that the task which holds it may lock again |
//! | [`RwLock`] | a value for many readers or one writer, across awaits |
//! | [`Semaphore`] | limits how many tasks do something at a time |
//! | [`SetOnce`] | a value that is set once, and that tasks wait for |
//!
//! # Channels
//!
//! | type | purpose |
//! |---|---|
//! | [`broadcast`] | each value to all receivers; a slow receiver misses some |
//! | [`mpsc`] | each value once, from many senders to one receiver |
//! | [`oneshot`] | one value, from one sender to one receiver |
//! | [`Queue`] | each item once, to any of many tasks, until all items are done |
//! | [`watch`] | the latest value, to all receivers |
//!
//! Every receiver is also a [`Stream`](futures_core::Stream).
//!
//! # Futures that a task leaves behind
//!
//! A lock, a permit or room in a channel is granted to a future, which returns it when it is
//! polled next. A task that stops polling the future, and requests the same thing through
//! another future, may therefore wait for itself. An example is a task in the handler of a
//! `select!`, one branch of which is a future that still exists; another is a task in a loop
//! over the results of `buffer_unordered`, whose other futures are not polled while the body
//! of the loop runs. This is known as *futurelock*.
//!
//! [`Mutex`], [`ReentrantMutex`], [`RwLock`], [`Semaphore`] and [`OnceCell`] resolve it. When a
//! whole poll of a task has passed in which a future with a grant was not polled, another
//! request of the same task takes the grant over, and the future is first in the queue again.
//! A future that the task still polls never loses its turn in this way.
//!
//! A task can still wait for itself
//!
//! - if a future that it no longer polls holds a guard, or makes the value of a [`OnceCell`];
//! - for more permits than the futures left behind were granted, while another request is
//!   before it in the queue;
//! - in a combinator that polls a future only after that future was woken, such as
//!   `FuturesUnordered`, if several of its futures were left behind at the same lock;
//! - for room in a channel of [`mpsc`], or for room or an item in a [`Queue`]: a grant stays
//!   with its future until the future is polled or dropped;
//! - under another executor, where the tasks are not known.
//!
//! # Crossing threads
//!
//! No type here can be sent to another thread. To reach a task from another
//! thread, use a crate that is made for it: its wakers work here. A wake from
//! another thread costs an atomic or a lock, and a system call if the loop is
//! parked.
//!
//! | purpose | crate |
//! |---|---|
//! | many senders and receivers, which wait on either side | `async-channel` |
//! | a thread that blocks on one side, and a task on the other | `flume`, or `async-channel` with `send_blocking` and `recv_blocking` |
//! | one answer, a broadcast, a watched value | `tokio::sync`, which does not need tokio's runtime |
//! | mutex, reader-writer lock, semaphore, barrier, once-cell | `async-lock` |
//! | a signal without a value | `event-listener`, or `tokio::sync::Notify` |
//! | a value shared by threads, never locked across an await | `std::sync::Mutex` |
//!
//! Any such crate that a program uses already will do, because all of them rely
//! on wakers alone.

mod barrier;
pub mod broadcast;
mod buffer;
mod cancellation;
mod capacity;
mod condvar;
mod endpoint_counts;
mod event;
pub mod mpsc;
mod mutex;
mod notify;
mod on_drop;
mod once_cell;
pub mod oneshot;
mod pair_rc;
pub mod queue;
mod raw_semaphore;
mod reentrant_mutex;
mod rwlock;
mod semaphore;
mod set_once;
mod waiter_set;
mod waiters;
mod waiting;
mod wake_all;
mod waker_cell;
pub mod watch;

/// Futures of these types, under the path that tokio has for them.
pub mod futures {
    pub use crate::notify::{Notified, OwnedNotified};
}

pub use barrier::{Barrier, BarrierWaitResult};
pub use cancellation::{
    CancellationToken, DropGuard, DropGuardRef, WaitForCancellationFuture,
    WaitForCancellationFutureOwned,
};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMutexGuard, TryLockError};
pub use notify::{Notified, Notify, OwnedNotified};
pub use once_cell::{OnceCell, SetError};
pub use queue::{LifoQueue, PriorityQueue, Queue};
pub use reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard, RwLockReadGuard,
    RwLockWriteGuard,
};
pub use semaphore::{
    AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit, TryAcquireError,
};
pub use set_once::{SetOnce, SetOnceError};
