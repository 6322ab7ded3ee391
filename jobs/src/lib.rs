//! Work on several machines: a manager that serves queues and typed services over TCP, and job
//! queues over a manager, Redis or NATS.

mod bytes;
mod engine;
mod error;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod queue;
mod secure;
mod worker;

pub use engine::{Counts, JobId};
pub use error::Error;
pub use memory::Memory;
pub use queue::{DeadLetter, JobResult, MemoryHost, MemoryQueue, Push, Queue, Receipt};
pub use secure::Key;
pub use worker::{Worker, WorkerBuilder, WorkerControl, WorkerEvent, WorkerMetrics};

/// For the fuzz targets.
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::secure::fuzz::{Channel, handshake};
}
