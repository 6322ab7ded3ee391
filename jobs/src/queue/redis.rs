//! Connecting to a queue on a server of Redis.

use std::fmt;

use super::Queue;
use crate::error::Error;
use crate::redis::Redis;

impl Queue {
    /// Begins to connect to a queue on a server of Redis 7.0 or later.
    ///
    /// The URL is `redis://[[user]:password@]host[:port][/database]`, or `redis+unix:///path` with
    /// `?user=…&pass=…&db=…` for a socket in the file system. TLS (`rediss://`) is not supported. A
    /// cluster keeps all of a queue on one node, which the URL has to name.
    ///
    /// # What is lost
    ///
    /// The server should have `appendonly yes`. Then it loses nothing when it is killed, and up to a
    /// second of jobs in a power failure, or none with `appendfsync always`. Its
    /// `maxmemory-policy` should be `noeviction`. If its settings are others, or if it was restarted
    /// and has lost the queue, [`warnings`](Self::warnings) says so.
    ///
    /// A job whose worker has ended runs again when its lease has ended. A job that was delayed may
    /// be a second late.
    ///
    /// # Connections
    ///
    /// A client has one connection for its commands, one for each worker, in whose reads it
    /// waits for jobs, and one while it waits for results. Each is opened again when it fails, or
    /// when the server owes an answer and is silent for ten seconds; for the operations of a worker
    /// this is half of its lease, but at least a second. An
    /// operation returns an error if the server cannot be reached for ten seconds, and a push
    /// without a key does so as soon as it is not known whether the job was stored.
    ///
    /// # Rights
    ///
    /// A user of the server needs the keys `coreloop:{name}:*`, the commands on strings, sets,
    /// hashes, sorted sets, streams and scripts, and the commands `TIME`, `EXISTS` and `DEL`. A worker whose user could not end its jobs leases
    /// none, and reports an error with the command and the key. With the channels
    /// `coreloop:{name}:done:*` results arrive at once instead of a quarter of a second later, and
    /// with `CLIENT UNBLOCK` a worker stops at once instead of within a second.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::jobs::Queue;
    ///
    /// # async fn connect() -> Result<(), coreloop::jobs::Error> {
    /// let queue = Queue::redis("redis://127.0.0.1").name("mail").durable().connect().await?;
    /// for warning in queue.warnings() {
    ///     eprintln!("warning: {warning}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn redis(url: impl Into<String>) -> RedisQueue {
        RedisQueue {
            url: url.into(),
            name: String::new(),
            durable: false,
        }
    }
}

/// A connection to a queue on a server of Redis that is not made yet. [`Queue::redis`] returns it.
#[must_use = "nothing is connected before `connect` is called"]
pub struct RedisQueue {
    url: String,
    name: String,
    durable: bool,
}

impl RedisQueue {
    /// Sets the name of the queue.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Demands that a push returns only after the job is on disk: adds a
    /// [warning](Queue::warnings) if the server has another `appendfsync` than `always`.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Connects to the server, and reads its settings.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is created on the server but a key by which the client notices later
    /// that the server has lost the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue has no name, if the URL is wrong, or if the server cannot be
    /// reached or refuses the user.
    pub async fn connect(self) -> Result<Queue, Error> {
        let engine = Redis::connect(&self.url, &self.name, self.durable).await?;
        Ok(Queue::new(engine, &self.name))
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RedisQueue")
            .field("name", &self.name)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}
