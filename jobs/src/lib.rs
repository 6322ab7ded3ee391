//! Work on several machines: a manager that serves queues and typed services over TCP, and job
//! queues over a manager, Redis or NATS.

mod engine;
mod error;
mod memory;
#[cfg(feature = "nats")]
mod nats;

pub use engine::JobId;
pub use error::Error;
