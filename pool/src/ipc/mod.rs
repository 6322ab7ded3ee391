//! What processes say to each other, and what they share.

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
