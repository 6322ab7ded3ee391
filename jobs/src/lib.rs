//! Work on several machines: a manager that serves queues and typed services over TCP, and job
//! queues over a manager, Redis or NATS.
//!
//! Use it through the facade, as `coreloop::jobs`. The chapter "Many machines" of the guide is the
//! introduction: which engine for what, and what is lost in which failure.
//!
//! # Queues of jobs
//!
//! | type | purpose |
//! |---|---|
//! | [`Queue`] | stores jobs, and returns their results; [`Queue::memory`], `Queue::redis` and `Queue::nats` choose the engine |
//! | [`Push`], [`Receipt`] | a job that is being stored; what its producer reads the result with |
//! | [`Worker`] | leases jobs and runs them in a [`Pool`](coreloop_pool::Pool) |
//! | [`Memory`] | queues in the memory of a process |
//! | [`DeadLetter`], [`Counts`], [`WorkerEvent`], [`WorkerMetrics`] | what an operator watches |
//!
//! A job runs at least once, and its result is stored once. A worker keeps the lease of a job by
//! renewing it; when its machine is lost, another worker runs the job.
//!
//! # Managers
//!
//! | type | purpose |
//! |---|---|
//! | [`Manager`] | serves queues and services to its clients |
//! | [`Client`] | a connection to a manager, which is opened again when it is lost |
//! | [`Key`] | the secret that a manager and its clients have, of at least 16 bytes |
//! | [`SharedQueue`], [`LeasedItem`] | a queue of values between clients; an item that comes back if its client is lost |
//! | [`Service`], [`CallRequest`] | a named service with typed requests and answers; a call of one |
//!
//! # Features
//!
//! The engines on servers need the features `jobs-redis` and `jobs-nats` of the facade, and TLS
//! needs `jobs-tls`.

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
