//! Coordination between tasks that share a thread.
//!
//! Use it through the facade, as `coreloop::sync`.
//!
//! Nothing here is `Send`, so nothing here needs an atomic or a lock: state
//! lives in cells, and one FIFO wait queue stands under every primitive. What
//! was waited for and granted is never lost: a waiter that is dropped between
//! the grant and its next poll passes the grant on.
//!
//! Waiting spends the task's budget, so that a task that always finds what it
//! waits for still lets others run. Under another executor there is no budget,
//! and everything else works the same.
//!
//! # Locks and signals
//!
//! | | for |
//! |---|---|
//! | [`Barrier`] | going on together, once enough tasks have come |
//! | [`CancellationToken`] | telling tasks, and those below them, to stop |
//! | [`Condvar`] | waiting until the value of a [`Mutex`] is as needed |
//! | [`Event`] | a flag that tasks wait for, and that can be cleared |
//! | [`Mutex`] | a value for one task at a time, across awaits |
//! | [`Notify`] | one task telling another that something happened |
//! | [`OnceCell`] | a value that is made when it is first needed |
//! | [`ReentrantMutex`] | a lock that its task may take again |
//! | [`RwLock`] | a value that many read and one changes, across awaits |
//! | [`Semaphore`] | at most so many at a time |
//! | [`SetOnce`] | a value that is set once and waited for |
//!
//! # Channels
//!
//! | | for |
//! |---|---|
//! | [`broadcast`] | each value to all receivers, of which the slow ones miss some |
//! | [`mpsc`] | each value once, from many senders to one receiver |
//! | [`oneshot`] | one value, from one sender to one receiver |
//! | [`Queue`] | each item once, to any of many, until all are done |
//! | [`watch`] | the latest value, to all that look |
//!
//! Every receiver is also a [`Stream`](futures_core::Stream).
//!
//! # Futures that a task leaves behind
//!
//! A lock, a permit or room in a channel is granted to a future, which returns it when it is
//! polled next. A task that stops polling the future and asks for the same thing by another
//! one may so wait for itself: for instance a task in the handler of a `select!`, one branch of
//! which was a future that lives on, or in a loop over the results of `buffer_unordered`,
//! whose other futures are not polled while the body of the loop runs. This is known as
//! *futurelock*.
//!
//! [`Mutex`], [`ReentrantMutex`], [`RwLock`], [`Semaphore`] and [`OnceCell`] resolve it. When a
//! whole poll of a task has passed in which a future that was granted something was not polled,
//! another request of the same task takes the grant over, and the future is first in the queue
//! again. A future that the task still polls never loses its turn in this way.
//!
//! A task can still wait for itself
//!
//! - if a future that it does not poll any more holds a guard, or is making the value of a
//!   [`OnceCell`];
//! - for more permits than the futures left behind were given, while another request is before
//!   it in the queue;
//! - in a combinator that polls a future only if that was woken, such as
//!   `FuturesUnordered`, if it has left several futures behind at the same lock;
//! - for room in a channel of [`mpsc`], or for room or an item in a [`Queue`]: what was granted
//!   to a future stays there until the future is polled or dropped;
//! - under another executor, where the tasks are not known.
//!
//! # Crossing threads
//!
//! Nothing here can be sent to another thread. To reach a task from one, use a
//! crate that is made for it; its wakers work here, and cost what crossing
//! costs: an atomic or a lock, and a system call if the loop sleeps.
//!
//! | for | use |
//! |---|---|
//! | many senders and receivers, waiting on either side | `async-channel` |
//! | a thread that blocks on the one side, a task on the other | `flume`, or `async-channel` with `send_blocking` and `recv_blocking` |
//! | one answer, a broadcast, a watched value | `tokio::sync`, which needs no runtime of tokio's |
//! | mutex, reader-writer lock, semaphore, barrier, once-cell | `async-lock` |
//! | a signal without a value | `event-listener`, or `tokio::sync::Notify` |
//! | a value shared by threads, never locked across an await | `std::sync::Mutex` |
//!
//! One that is already used in a program will do: all of them rely on wakers
//! alone.
#![forbid(unsafe_code)]

mod barrier;
pub mod broadcast;
mod cancellation;
mod condvar;
mod ends;
mod event;
mod listeners;
pub mod mpsc;
mod mutex;
mod notify;
mod on_drop;
mod once_cell;
pub mod oneshot;
mod permits;
pub mod queue;
mod reentrant_mutex;
mod room;
mod rwlock;
mod semaphore;
mod set_once;
mod slots;
mod waiters;
mod waiting;
mod waker_slot;
pub mod watch;

/// The futures of these types, by the path that tokio has for them.
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
