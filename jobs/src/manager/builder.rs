//! [`ManagerBuilder`], how a manager is set up.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::Manager;
use super::core::Core;
use super::settings::Settings;
use crate::connection::{Acceptor, Address, Listener};
use crate::error::{Error, Kind};
use crate::items::{PREFIX, QueueService};
use crate::memory::Memory;
use crate::memory::served::{JobsService, NAME};
use crate::secure::Key;
use crate::services::{Access, Peer, RESERVED, Serve, Service, Services, Typed};
use crate::wire::MAX_NAME;

/// How a [`Manager`] is set up. [`Manager::bind`] begins it, and [`start`](Self::start) ends it.
#[must_use = "the manager starts with `start`"]
pub struct ManagerBuilder {
    address: Address,
    key: Option<Key>,
    services: Vec<(String, Rc<dyn Serve>)>,
    /// The first mistake of a name.
    mistake: Option<Error>,
    allows_network: bool,
    max_message: usize,
    max_clients: usize,
    max_unauthenticated: usize,
    grace: Duration,
    heartbeat: Duration,
    handshake_timeout: Duration,
    memory: Memory,
    pub(super) tls: Option<Acceptor>,
}

impl ManagerBuilder {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            key: None,
            services: Vec::new(),
            mistake: None,
            allows_network: false,
            max_message: 64 * 1024 * 1024,
            max_clients: 1024,
            max_unauthenticated: 64,
            grace: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            memory: Memory::new(),
            tls: None,
        }
    }

    /// Sets the key that clients must have. There is no manager without one.
    pub fn key(mut self, key: &Key) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Adds a queue for `capacity` items. Its name has at most 240 bytes.
    ///
    /// Clients use the queue by its name and the type of its items: see
    /// [`SharedQueue`](crate::SharedQueue).
    pub fn queue(mut self, name: &str, capacity: usize) -> Self {
        let service = Rc::new(QueueService::new(name, capacity));
        self.check(name.len() + PREFIX.len() <= MAX_NAME, name);
        self.services.push((format!("{PREFIX}{name}"), service));
        self
    }

    /// Sets the memory whose job queues the manager serves; see
    /// [`Queue::memory`](crate::Queue::memory). By default it serves a new one.
    pub fn jobs(mut self, memory: &Memory) -> Self {
        self.memory = memory.clone();
        self
    }

    /// Adds a service, whose requests `handler` answers.
    ///
    /// The handler runs as a task for each request, at the same time as others. An error that it
    /// returns, or its panic, is an error for the client. If the client cancels the request, or has
    /// been away for longer than the grace, the task is aborted.
    pub fn service<S, E>(
        mut self,
        handler: impl AsyncFn(S::Request, Peer) -> Result<S::Response, E> + 'static,
    ) -> Self
    where
        S: Service,
        E: fmt::Display + 'static,
    {
        let fits = S::NAME.len() <= MAX_NAME && !S::NAME.starts_with(RESERVED);
        self.check(fits, S::NAME);
        let service = Rc::new(Typed::<S, _, E>::new(handler));
        self.services.push((S::NAME.to_owned(), service));
        self
    }

    /// Sets whether TCP addresses beyond this machine are allowed without TLS. The default is
    /// `false`.
    ///
    /// If they are, other machines on the network can read all messages, but cannot change them.
    pub fn plaintext_network(mut self, is_allowed: bool) -> Self {
        self.allows_network = is_allowed;
        self
    }

    /// Sets the maximum length of a request or an answer, in bytes. The default is 64 MiB, and the
    /// limit 1 GiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes.min(MAX_MESSAGE);
        self
    }

    /// Sets how many clients the manager accepts. The default is 1,024.
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.max_clients = clients;
        self
    }

    /// Sets how many connections may be open whose peers have not proved that they have the key.
    /// The default is 64. For each further one, the manager closes one of the address that has the
    /// most such connections.
    pub fn max_unauthenticated(mut self, connections: usize) -> Self {
        self.max_unauthenticated = connections;
        self
    }

    /// Sets how long a client that has lost its connection may take to come back. The default is
    /// 10 s. Afterwards its leases have ended, and its requests are aborted.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the interval in which an idle client sends a heartbeat. The default is 10 s. The
    /// manager closes a connection on which for four intervals it has received nothing, and could
    /// send nothing.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets how long a connection may take to prove that it has the key. The default is 5 s. With
    /// [`Duration::MAX`] there is no limit.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Starts the manager on the current loop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is started.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no key, if the address is not of this machine and there is no
    /// TLS, if it is a Unix socket and there is TLS, if the system cannot listen at the address, or
    /// if two services have the same name or one has a name that is not allowed.
    pub async fn start(self) -> Result<Manager, Error> {
        let Some(key) = self.key else {
            let text = "the manager has no key: set one with `key`";
            return Err(Error::new(Kind::Invalid, text));
        };
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        if self.tls.is_some() {
            self.address.check_tls()?;
        }
        let services = Rc::new(Services::default());
        for (name, service) in self.services {
            services.add(&name, service)?;
        }
        let jobs = JobsService::new(self.memory.clone());
        services.add(NAME, Rc::new(jobs))?;
        let allows_network = self.allows_network || self.tls.is_some();
        let listener = Listener::bind(&self.address, allows_network).await?;
        let address = listener.address()?;
        let settings = Settings {
            key,
            max_message: self.max_message,
            grace: self.grace,
            heartbeat: self.heartbeat,
            handshake_timeout: self.handshake_timeout,
            max_clients: self.max_clients,
            tls: self.tls,
        };
        let core = Core::new(settings, Rc::clone(&services), self.max_unauthenticated);
        let core = Rc::new(core);
        core.start(listener);
        Ok(Manager {
            core,
            address,
            access: Access::local(&services),
            memory: self.memory,
        })
    }

    /// Notes the first service whose name is not allowed.
    fn check(&mut self, is_allowed: bool, name: &str) {
        if !is_allowed && self.mistake.is_none() {
            let text = format!(
                "a service or queue cannot have the name {name:?}: the name of a service has at \
                 most 255 bytes and does not begin with {RESERVED:?}, and the name of a queue has \
                 at most 240 bytes"
            );
            self.mistake = Some(Error::new(Kind::Invalid, text));
        }
    }
}

/// The maximum of `max_message`.
pub(crate) const MAX_MESSAGE: usize = 1024 * 1024 * 1024;

impl fmt::Debug for ManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerBuilder")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
