//! Work on several machines: queues of jobs, and a manager that serves queues and services.
//!
//! Use it through the facade, as `coreloop::jobs`, with the feature `jobs`. The chapter *Many
//! machines* of the guide explains it step by step.
//!
//! # Queues of jobs
//!
//! A producer pushes a job, which is a call of a function with `#[coreloop::job]`. A worker on any
//! machine leases the job, runs it in its [`Pool`](coreloop_pool::Pool) and stores the result.
//! A job runs *at least once*, and its result is stored once: if a worker is lost, its jobs run
//! again when their leases have ended. So jobs should be idempotent.
//!
//! | item | purpose |
//! |---|---|
//! | [`Queue`] | a connection to a queue: pushes jobs, reads results and dead letters |
//! | [`Push`], [`Receipt`], [`JobResult`] | a job with its key and delay; what names its result; the wait for the result |
//! | [`Worker`], [`WorkerControl`] | runs the jobs of a queue in a pool; stops and watches a worker |
//! | [`WorkerEvent`], [`WorkerMetrics`] | what a worker reports, and what it counts |
//! | [`DeadLetter`], [`Counts`] | a job whose attempts have all failed; how many jobs are in which state |
//!
//! Only the line that connects to a queue differs between the engines, which keep its jobs:
//!
//! | engine | where the jobs are |
//! |---|---|
//! | [`Queue::memory`] with a [`Memory`] | in this process |
//! | [`Queue::memory`] with a [`Manager`] or a [`Client`] | in the process of the manager |
//! | `Queue::redis`, with the feature `jobs-redis` | on a server of Redis 7.0 or later |
//! | `Queue::nats`, with the feature `jobs-nats` | on a server of NATS 2.9 or later with `JetStream` |
//!
//! # Managers
//!
//! A manager is a server, and one of your programs starts it. Its clients are on the same machine
//! or on others. It is Python's `BaseManager`, without proxies of objects.
//!
//! | item | purpose |
//! |---|---|
//! | [`Manager`], [`Client`] | the server, and a connection to it |
//! | [`Key`] | the secret that both sides prove to have, of 16 to 1,024 bytes |
//! | [`Address`] | a TCP address, or the path of a Unix socket |
//! | [`SharedQueue`], [`LeasedItem`] | a queue of plain values; an item that has to be confirmed |
//! | [`Service`], [`Peer`] | a typed request and its answer; the client that a request came from |
//!
//! A client that loses its connection connects again, and keeps its requests and leases if it is
//! back within the [grace](ManagerBuilder::grace). A key protects messages from changes, but does
//! not encrypt them: TLS needs the feature `jobs-tls`.
//!
//! # Examples
//!
//! ```no_run
//! use coreloop::jobs::{Memory, Queue};
//! use coreloop::pool::Pool;
//!
//! #[coreloop::job(name = "square")]
//! fn square(number: u64) -> u64 {
//!     number * number
//! }
//!
//! #[coreloop::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // With another engine, only this line changes.
//!     let queue = Queue::memory(&Memory::new()).name("numbers").connect().await?;
//!
//!     // The worker, usually a program on another machine:
//!     let pool = Pool::builder().build()?;
//!     coreloop::spawn(queue.worker().jobs_of(&pool).run());
//!
//!     // The producer:
//!     let receipt = queue.push(square, 12).await?;
//!     assert_eq!(queue.result(&receipt).await?, 144);
//!     Ok(())
//! }
//! ```
//!
//! # Limits
//!
//! - Results and the keys of jobs are kept for a day.
//! - What a [`Manager`] or a [`Memory`] keeps is lost when its process ends.
//! - A request to a manager and its answer have at most 64 MiB each, unless the builders set
//!   another limit. A client has at most 65,536 requests without an answer; a further one fails.
//! - The types that hold a connection belong to the loop of one thread, and are not `Send`.
//!   Other threads and processes connect by themselves.

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
#[cfg(test)]
mod testing;
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
pub use services::{Peer, Service};
pub use worker::{Worker, WorkerBuilder, WorkerControl, WorkerEvent, WorkerMetrics};

/// For the fuzz targets.
#[doc(hidden)]
pub mod __fuzz {
    pub use crate::fuzz::messages;
    pub use crate::secure::fuzz::{Channel, handshake};
}
