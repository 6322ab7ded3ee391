//! Work on several machines: a manager that serves queues and typed services over TCP, and job
//! queues over a manager, Redis or NATS.

mod bytes;
mod engine;
mod error;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod secure;

pub use engine::JobId;
pub use error::Error;
pub use secure::Key;

/// For the fuzz targets.
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::secure::fuzz::{Channel, handshake};
}
