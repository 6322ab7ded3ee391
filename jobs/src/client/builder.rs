//! [`ClientBuilder`], how a client is set up.

use std::fmt;
use std::time::Duration;

use coreloop_runtime::task::spawn_hidden;

use super::link::{Link, Settings};
use super::{Client, connect, runner};
use crate::connection::Address;
use crate::error::Error;
use crate::manager::MAX_MESSAGE;
use crate::secure::{Key, random};

/// How a [`Client`] is set up. [`Client::builder`] begins it, and [`connect`](Self::connect) ends it.
#[must_use = "the client connects with `connect`"]
pub struct ClientBuilder {
    pub(super) settings: Settings,
}

impl ClientBuilder {
    pub(super) fn new(address: Address, key: Key) -> Self {
        let settings = Settings {
            address,
            key,
            allows_network: false,
            max_message: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            unreachable_after: Duration::from_secs(60),
            tls: None,
        };
        Self { settings }
    }

    /// Sets whether TCP addresses beyond this machine are allowed without TLS. The default is
    /// `false`.
    ///
    /// If they are, other machines on the network can read all messages, but cannot change them.
    pub fn plaintext_network(mut self, is_allowed: bool) -> Self {
        self.settings.allows_network = is_allowed;
        self
    }

    /// Sets the maximum length of a request or an answer, in bytes. The default is 64 MiB, and the
    /// limit 1 GiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.settings.max_message = bytes.min(MAX_MESSAGE);
        self
    }

    /// Sets for how long [`connect`](Self::connect) tries again if the manager closes the first
    /// connection early in the handshake, as it does when too many clients connect at once. The
    /// default is 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Sets how long [`call`](Client::call) waits for an answer. The default is 30 s. With
    /// [`Duration::MAX`] there is no limit.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.settings.call_timeout = timeout;
        self
    }

    /// Sets for how long requests wait while the manager cannot be reached, before they fail. The
    /// default is 60 s. The client continues to try to connect, for later requests.
    pub fn unreachable_after(mut self, time: Duration) -> Self {
        self.settings.unreachable_after = time;
        self
    }

    /// Connects to the manager.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection is closed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`Client::connect`].
    pub async fn connect(self) -> Result<Client, Error> {
        if self.settings.tls.is_some() {
            self.settings.address.check_tls()?;
        }
        let link = Link::new(self.settings, random()?);
        let connected = connect::first(&link).await?;
        let client = Client::new(std::rc::Rc::clone(&link));
        spawn_hidden(runner::run(link, connected));
        Ok(client)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("address", &self.settings.address)
            .finish_non_exhaustive()
    }
}
