//! [`Manager`], a server for queues and services.

mod admission;
mod book;
mod builder;
mod connection;
mod core;
mod session;
mod settings;
#[cfg(feature = "tls")]
mod tls;

#[cfg(test)]
pub(crate) use book::Book;
pub(crate) use builder::MAX_MESSAGE;
pub use builder::ManagerBuilder;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::time::timeout;

use self::core::Core;
use crate::client::Client;
use crate::connection::Address;
use crate::error::Error;
use crate::items::SharedQueue;
use crate::memory::Memory;
use crate::secure::Key;
use crate::services::{Access, Services};

/// A server for queues and services, which clients on this machine and on others use: Python's
/// `BaseManager`.
///
/// It runs on the loop of the thread that has started it. A client and the manager prove to each
/// other that they have the same [`Key`], before anything else that they send is read; afterwards
/// each message is protected from changes and repetition. Messages are not encrypted: TCP
/// addresses beyond this machine need TLS, or [`plaintext_network`](ManagerBuilder::plaintext_network).
/// Nothing can be called but the services and queues that the manager was given.
///
/// A client that loses its connection comes back under the same identity, and what it holds (leases
/// of items, requests that run) is kept for the [grace](ManagerBuilder::grace). All of it is in
/// memory: it ends with the manager.
///
/// Dropping the manager closes it: the clients' requests fail, or wait for another manager at the
/// same address.
///
/// # Examples
///
/// Python's task master and task worker:
///
/// ```
/// use coreloop::jobs::{Key, Manager};
///
/// # fn main() -> Result<(), coreloop::jobs::Error> {
/// # coreloop::block_on(async {
/// let key = Key::random()?;
/// let manager = Manager::bind("127.0.0.1:0")
///     .key(&key)
///     .queue("tasks", 100)
///     .queue("results", 100)
///     .start()
///     .await?;
/// let (tasks, results) = (manager.queue::<u64>("tasks"), manager.queue::<u64>("results"));
///
/// // The worker, usually in another process:
/// let client = Manager::connect(manager.address(), &key).await?;
/// coreloop::spawn(async move {
///     let (tasks, results) = (client.queue::<u64>("tasks"), client.queue("results"));
///     while let Ok(task) = tasks.lease().await {
///         results.put(&(*task * *task)).await?;
///         task.ack().await?;
///     }
///     Ok::<_, coreloop::jobs::Error>(())
/// });
///
/// tasks.put_many(&[2, 3, 4]).await?;
/// let mut squares = 0;
/// for _ in 0..3 {
///     squares += results.get().await?;
/// }
/// assert_eq!(squares, 29);
/// # Ok(()) })
/// # }
/// ```
pub struct Manager {
    core: Rc<Core>,
    address: Address,
    access: Access,
    memory: Memory,
}

impl Manager {
    /// Begins to set up a manager that listens at `address`.
    pub fn bind(address: impl Into<Address>) -> ManagerBuilder {
        ManagerBuilder::new(address.into())
    }

    /// Connects to a manager: the same as [`Client::connect`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection is closed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`Client::connect`].
    pub async fn connect(address: impl Into<Address>, key: &Key) -> Result<Client, Error> {
        Client::connect(address, key).await
    }

    /// Returns the address at which the manager listens, with the port that the system has chosen
    /// if it was bound to port 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns a handle of a queue of this manager.
    ///
    /// The name belongs to a [`queue`](ManagerBuilder::queue) of the builder; for another one, each
    /// operation of the handle fails. Items encode as they do for clients.
    #[must_use]
    pub fn queue<T>(&self, name: &str) -> SharedQueue<T> {
        SharedQueue::new(self.access.clone(), name)
    }

    /// Returns how many clients the manager knows, and how many of them are connected.
    ///
    /// The others have lost their connections, and the grace has not passed.
    #[must_use]
    pub fn clients(&self) -> (usize, usize) {
        self.core.sessions.count()
    }

    /// Returns how many connections have not proved that they have the key.
    #[must_use]
    pub fn unauthenticated(&self) -> usize {
        self.core.unauthenticated()
    }

    /// Waits until all clients have left, and closes the manager; at the latest after `deadline`.
    ///
    /// Returns whether all clients have left. To make them leave, close the queues that they wait
    /// for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the manager is closed if the future is dropped.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        let all_left = async {
            while self.core.sessions.count().0 > 0 {
                self.core.left.notified().await;
            }
        };
        timeout(deadline, all_left).await.is_ok()
    }

    /// Returns the memory whose job queues the manager serves.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn services(&self) -> &Rc<Services> {
        &self.core.services
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
