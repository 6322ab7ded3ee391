//! Work on several machines: a manager that serves queues and typed services over TCP, and job
//! queues over a manager, Redis or NATS.

mod bytes;
mod client;
mod connection;
mod engine;
mod error;
mod fuzz;
mod items;
mod manager;
mod memory;
#[cfg(feature = "nats")]
mod nats;
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod secure;
mod services;
mod wire;
mod worker;

pub use client::{CallRequest, Client, ClientBuilder};
pub use connection::Address;
pub use engine::{Counts, JobId};
pub use error::Error;
pub use items::{LeasedItem, SharedQueue};
pub use manager::{Manager, ManagerBuilder};
pub use memory::Memory;
#[cfg(feature = "nats")]
pub use queue::NatsQueue;
#[cfg(feature = "redis")]
pub use queue::RedisQueue;
pub use queue::{DeadLetter, JobResult, MemoryHost, MemoryQueue, Push, Queue, Receipt};
pub use secure::Key;
pub use services::{Access, Peer, Service};
pub use worker::{Worker, WorkerBuilder, WorkerControl, WorkerEvent, WorkerMetrics};

/// For the fuzz targets.
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::fuzz::messages;
    pub use crate::secure::fuzz::{Channel, handshake};
}
