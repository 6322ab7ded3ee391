//! Communication and shared memory between the processes of one machine.
//!
//! Use it through the facade, as `coreloop::ipc`, with the feature `pool`.
//!
//! The types here connect a program with the workers of its [`Pool`](crate::Pool)s and with its
//! [`Process`](crate::Process)es: each can be an argument or the result of a job, except
//! [`LockFile`], which programs that are not related share by its path. A process that is killed
//! leaves nothing locked and no part of a message for others: what it held is released, and the
//! items that it had leased go back to their queue.
//!
//! # Messages
//!
//! | item | purpose |
//! |---|---|
//! | [`pipe`] | two ends, each of which sends values to the other |
//! | [`simplex`] | one end that sends, and one that receives |
//! | [`channel`] | many senders in any processes, and one receiver |
//! | [`Queue`] | many senders and many consumers; each item is received by one of them, and comes back if it was leased and its consumer ends |
//! | [`Fd`] | a file, socket or pipe inside a value of any of these, or of a job |
//!
//! A pipe costs the least. A channel and a queue also work when one of several senders is killed
//! in the middle of a message.
//!
//! # Locks and signals
//!
//! | item | purpose |
//! |---|---|
//! | [`Mutex`] | a lock that one process at a time holds |
//! | [`Semaphore`] | limits how many processes do something at a time |
//! | [`Event`] | a flag that processes wait for, and that can be cleared |
//! | [`Barrier`] | lets processes continue together, once enough of them wait |
//! | [`LockFile`] | a lock between programs that are not related, which is a file |
//!
//! # Shared memory
//!
//! | item | purpose |
//! |---|---|
//! | [`SharedSlice`] | values that many processes read, and that no process can change |
//! | [`SharedArray`] | values that one process at a time changes, under a lock |
//! | [`Shared`], [`SharedAtomics`] | atomic numbers that all processes read and write |
//!
//! # Handles
//!
//! A [`Queue`], [`Mutex`], [`Semaphore`], [`Event`], [`Barrier`] and [`SharedArray`] live on the
//! loop on which they were created, and answer other processes only while this loop runs. What
//! is cloned and sent is a handle. The object is closed when the handle that its constructor has
//! returned, and all clones of this handle in the same process, are dropped. So keep one of them,
//! and send a clone.
//!
//! The ends of pipes and channels, [`Fd`] and shared memory travel as descriptors. They can be
//! encoded only in the arguments and results of jobs and in the messages of this module.
//!
//! # Without a loop
//!
//! Methods with `blocking` in their names block the thread, for jobs that are not async. They
//! need no runtime.
//!
//! # Examples
//!
//! ```no_run
//! use coreloop::ipc::{Shared, SharedSlice};
//! use coreloop::pool::Pool;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! /// Counts the numbers below a limit in a part of the table.
//! #[coreloop::job]
//! fn count(table: SharedSlice<u64>, part: (usize, usize), found: Shared<AtomicU64>) {
//!     let below = table[part.0..part.1].iter().filter(|number| **number < 100);
//!     found.fetch_add(below.count() as u64, Ordering::Relaxed);
//! }
//!
//! #[coreloop::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let numbers: Vec<u64> = (0..1_000_000).collect();
//!     let table = SharedSlice::from_slice(&numbers)?;
//!     let found = Shared::new(AtomicU64::new(0))?;
//!     let pool = Pool::builder().workers(2).build()?;
//!     let one = pool.submit(count, (table.clone(), (0, 500_000), found.clone())).await?;
//!     let other = pool.submit(count, (table, (500_000, 1_000_000), found.clone())).await?;
//!     one.await?;
//!     other.await?;
//!     assert_eq!(found.load(Ordering::Relaxed), 100);
//!     Ok(())
//! }
//! ```

mod attach;
mod barrier;
pub(crate) mod broker;
mod channel;
mod error;
mod event;
mod fd;
mod lock_file;
mod mutex;
mod pipe;
mod queue;
mod semaphore;
pub(crate) mod shared;
mod socket;
mod travel;
pub(crate) mod wire;

pub use barrier::{Barrier, BarrierWaitResult};
pub use broker::BrokerError;
pub use channel::{Receiver, Sender, channel};
pub use error::TrySendError;
pub use event::Event;
pub use fd::Fd;
pub use lock_file::{LockFile, LockFileGuard};
pub use mutex::{Holder, LockError, Mutex, MutexGuard, Poisoned};
pub use pipe::{Pipe, PipeReceiver, PipeSender, pipe, simplex};
pub use queue::{Lease, Queue, QueueBuilder, QueueError, SendError};
pub use semaphore::{PermitHolder, Semaphore, SemaphorePermit};

pub(crate) use attach::{
    Fds, MAX_DESCRIPTORS, append, attach, decode, decode_plain, detach, encode, fail, refuse,
};
pub(crate) use shared::Cells;
pub use shared::{
    Atomic, Shared, SharedArray, SharedArrayGuard, SharedAtomics, SharedSlice, SharedSliceBuilder,
};

/// The default of the maximum length of a message, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// For tests: ends the connections of this thread to the processes of objects, as an error of a
/// socket would. Not a part of the interface.
#[doc(hidden)]
pub fn __disconnect() {
    broker::client::disconnect_all();
}
