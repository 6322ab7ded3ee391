//! [`Client`], a connection to a manager.

mod book;
mod builder;
mod call;
mod connect;
mod driver;
mod link;
mod runner;
#[cfg(feature = "tls")]
mod tls;

pub use builder::ClientBuilder;
pub use call::CallRequest;
pub(crate) use call::within;

#[cfg(test)]
pub(crate) use book::{Book, Call, Caller, Dropped};

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use self::link::Link;
use crate::connection::Address;
use crate::error::Error;
use crate::items::SharedQueue;
use crate::secure::Key;
use crate::services::{Options, Service};

/// A connection to a [`Manager`](crate::Manager).
///
/// Clones share it. A process needs only one: any number of tasks make requests at the same time,
/// which go out together, and whose answers come in any order.
///
/// When the connection is lost, the client connects again, with growing pauses, and the manager
/// takes it for the same client: requests that were not answered stay where they were, and leases
/// are kept, if the client is back within the [grace](crate::ManagerBuilder::grace). Otherwise, or
/// if the manager was started anew, requests that were sent and not answered fail with an error that
/// [`is_lost`](Error::is_lost), and those that were not sent wait for the new manager.
///
/// The client leaves when its last clone, and the last handle of a queue, is dropped: its leases end
/// at once. Use [`close`](Self::close) at the end of a program, so that the manager learns that the
/// last items were confirmed.
///
/// # Examples
///
/// ```no_run
/// use coreloop::jobs::{Client, Key};
///
/// # fn main() -> Result<(), coreloop::jobs::Error> {
/// # coreloop::block_on(async {
/// let key = Key::from_env("TASKS_KEY")?;
/// let client = Client::connect("127.0.0.1:5000", &key).await?;
/// let tasks = client.queue::<String>("tasks");
/// while let Ok(task) = tasks.lease().await {
///     println!("{}", *task);
///     task.ack().await?;
/// }
/// client.close().await;
/// # Ok(()) })
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Rc<Handle>,
}

/// What all clones of a client share. The client leaves when it is dropped.
struct Handle {
    link: Rc<Link>,
}

impl Client {
    /// Connects to the manager at `address`, which has the same key.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection is closed.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails; one that [`is_refused`](Error::is_refused) if the
    /// manager has another key, or what listens there is no manager; or an error if the address is
    /// not on this machine: see [`builder`](Self::builder) for TLS.
    pub async fn connect(address: impl Into<Address>, key: &Key) -> Result<Self, Error> {
        Self::builder(address, key).connect().await
    }

    /// Begins to set up a client.
    pub fn builder(address: impl Into<Address>, key: &Key) -> ClientBuilder {
        ClientBuilder::new(address.into(), key.clone())
    }

    /// Returns a handle of a queue of the manager.
    ///
    /// If the manager has no queue of this name, each operation of the handle fails.
    #[must_use]
    pub fn queue<T>(&self, name: &str) -> SharedQueue<T> {
        SharedQueue::new(self.into(), name)
    }

    /// Makes a request to a service. Await the returned value for the answer.
    ///
    /// The request has a deadline: see [`CallRequest::timeout`]. Dropping the future cancels it.
    pub fn call<'a, S: Service>(&'a self, request: &'a S::Request) -> CallRequest<'a, S> {
        CallRequest::new(self, request)
    }

    /// Returns whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.handle.link.is_connected()
    }

    /// Leaves the manager: sends what has to be sent, ends all leases and closes the connection.
    ///
    /// Requests of other clones that have no answer fail. Without a connection, the client does not
    /// wait for one; otherwise it waits for at most two seconds.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the client leaves in any case.
    pub async fn close(self) {
        let link = Rc::clone(&self.handle.link);
        link.leave();
        drop(self);
        link.ended().await;
    }

    pub(crate) async fn request(
        &self,
        service: &Rc<str>,
        body: Vec<u8>,
        options: Options,
    ) -> Result<Vec<u8>, Error> {
        let link = &self.handle.link;
        let call = call::Call::new(link, service, body, options.repeat)?;
        within(options.timeout, call, || link.trouble()).await
    }

    pub(crate) fn notify(&self, service: &Rc<str>, body: Vec<u8>) {
        self.handle.link.notify(service, body);
    }

    /// Returns how long a request may be, in bytes.
    pub(crate) fn max_request(&self) -> usize {
        self.handle.link.max_body.get()
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.handle.link.settings.call_timeout
    }

    fn new(link: Rc<Link>) -> Self {
        Self {
            handle: Rc::new(Handle { link }),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.leave();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.handle.link.settings.address)
            .field("is_connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}
