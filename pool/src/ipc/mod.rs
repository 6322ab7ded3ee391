//! Communication between processes of one machine: messages, queues, locks and shared memory.
//!
//! All of it is for the processes of one program: the workers of a [`Pool`](crate::Pool), and
//! each [`Process`](crate::Process). Handles and ends are values that can be encoded: pass them as
//! arguments of jobs, return them, or send them through another pipe. Threads use the same types,
//! with a runtime by `await`, and without one by the functions whose names start with `blocking_`.
//!
//! # Messages
//!
//! | item | purpose |
//! |---|---|
//! | [`pipe`] | two ends, which send values to each other |
//! | [`simplex`] | two ends, with one direction |
//! | [`channel`] | values from many processes to one |
//! | [`Queue`] | each item to one of many consumers; the items of a consumer that is killed come back |
//! | [`Fd`] | a descriptor inside of a value; the sockets of `net` and files can be converted to it |
//!
//! # Locks and signals
//!
//! | type | purpose |
//! |---|---|
//! | [`Barrier`] | lets processes continue together, once enough of them have arrived |
//! | [`Event`] | a flag that processes wait for |
//! | [`LockFile`] | a lock between unrelated programs, which is a file |
//! | [`Mutex`] | for one process at a time |
//! | [`Semaphore`] | limits how many processes do something at a time |
//!
//! These, and queues, are objects of the process that creates them: the loop on which they are
//! created answers the others. If a process is killed, what it held is released, and
//! [`Mutex::lock`] reports it to the next holder. An object exists as long as a handle of it exists
//! in its own process.
//!
//! # Shared memory
//!
//! | type | purpose |
//! |---|---|
//! | [`SharedSlice`] | values that many processes read without a copy, and that cannot change any more |
//! | [`Shared`], [`SharedAtomics`] | atomic numbers, which all processes change |
//! | [`SharedArray`] | values that processes change in turn, under a lock |
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
