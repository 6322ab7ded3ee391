//! Connecting to a queue. Each engine has a function of [`Queue`], which returns a builder with
//! `name` and `connect`.

use std::fmt;
use std::rc::Rc;

use super::Queue;
use crate::client::Client;
use crate::engine::{Engine, Pending};
use crate::error::Error;
use crate::manager::Manager;
use crate::memory::Memory;
use crate::memory::remote::{ByManager, Remote};
use crate::services::Access;

/// The part of [`MemoryHost`] that is not public.
mod sealed {
    use std::rc::Rc;

    use crate::engine::{Engine, Pending};

    pub(crate) trait Host {
        /// Returns the engine of a new client of a queue.
        fn open<'a>(&'a self, name: &'a str) -> Pending<'a, Rc<dyn Engine>>;
    }
}

/// Where queues are kept in memory: a [`Memory`] or a [`Manager`] of this process, or the manager of
/// a [`Client`].
#[expect(
    private_bounds,
    reason = "only types of this crate keep queues in memory"
)]
pub trait MemoryHost: sealed::Host {}

impl MemoryHost for Memory {}

impl sealed::Host for Memory {
    fn open<'a>(&'a self, name: &'a str) -> Pending<'a, Rc<dyn Engine>> {
        Box::pin(async move {
            let engine: Rc<dyn Engine> = Memory::open(self, name)?;
            Ok(engine)
        })
    }
}

impl MemoryHost for Manager {}

impl sealed::Host for Manager {
    fn open<'a>(&'a self, name: &'a str) -> Pending<'a, Rc<dyn Engine>> {
        sealed::Host::open(self.memory(), name)
    }
}

impl MemoryHost for Client {}

impl sealed::Host for Client {
    fn open<'a>(&'a self, name: &'a str) -> Pending<'a, Rc<dyn Engine>> {
        Box::pin(async move {
            let way = ByManager::new(Access::from(self));
            let engine: Rc<dyn Engine> = Remote::open(way, name).await?;
            Ok(engine)
        })
    }
}

impl Queue {
    /// Begins to connect to a queue in memory, which needs nothing installed: of a [`Memory`] or a
    /// [`Manager`] in this process, or of the manager of a [`Client`].
    ///
    /// See [`Memory`] for an example. Jobs that a client has leased come back when their leases
    /// end, or when the client has been away for longer than the
    /// [grace](crate::ManagerBuilder::grace) of the manager.
    pub fn memory<H: MemoryHost>(host: &H) -> MemoryQueue<'_> {
        MemoryQueue {
            host,
            name: String::new(),
        }
    }
}

/// A connection to a queue in memory that is not made yet. [`Queue::memory`] returns it.
#[must_use = "nothing is connected before `connect` is called"]
pub struct MemoryQueue<'a> {
    host: &'a dyn sealed::Host,
    name: String,
}

impl MemoryQueue<'_> {
    /// Sets the name of the queue.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Opens the queue, and creates it if it does not exist.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the queue may have been created.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue has no name, or if the process that keeps it cannot be
    /// reached.
    pub async fn connect(self) -> Result<Queue, Error> {
        let engine = self.host.open(&self.name).await?;
        Ok(Queue::new(engine, &self.name))
    }
}

impl fmt::Debug for MemoryQueue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
