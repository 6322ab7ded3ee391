//! Connecting to a queue on a server of NATS.

use std::fmt;

use super::Queue;
use crate::error::Error;
use crate::nats::Nats;

impl Queue {
    /// Begins to connect to a queue on a server of NATS with `JetStream`.
    ///
    /// # What is lost
    ///
    /// The server loses nothing when it is killed. It confirms jobs before they are on disk, so
    /// that a power failure loses the jobs of the last minutes, unless its `sync_interval` is
    /// shorter.
    ///
    /// # Leases
    ///
    /// All workers of a function have leases of the same time: the longest
    /// [`Worker::lease`](crate::Worker::lease) that one of them has had. When a worker with a
    /// shorter lease is lost, its jobs run again only after the longer time. Workers of a queue
    /// should have the same lease.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::jobs::Queue;
    ///
    /// # async fn connect() -> Result<(), coreloop::jobs::Error> {
    /// let queue = Queue::nats("nats://127.0.0.1").name("mail").connect().await?;
    /// # let _ = queue;
    /// # Ok(())
    /// # }
    /// ```
    pub fn nats(url: impl Into<String>) -> NatsQueue {
        NatsQueue {
            url: url.into(),
            name: String::new(),
        }
    }
}

/// A connection to a queue on a server of NATS that is not made yet. [`Queue::nats`] returns it.
#[must_use = "nothing is connected before `connect` is called"]
pub struct NatsQueue {
    url: String,
    name: String,
}

impl NatsQueue {
    /// Sets the name of the queue.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Connects to the server, and creates the queue unless it exists.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the queue may have been created.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue has no name, or if the server cannot be reached or does not
    /// have `JetStream`.
    pub async fn connect(self) -> Result<Queue, Error> {
        let engine = Nats::connect(&self.url, &self.name).await?;
        Ok(Queue::new(engine, &self.name))
    }
}

impl fmt::Debug for NatsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("NatsQueue")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
